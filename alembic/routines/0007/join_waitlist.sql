-- At the course's home: a place in the line for a course that is full. Returns how many
-- stand there, this one included; somebody who waits already keeps the place.
CREATE OR REPLACE FUNCTION join_waitlist(p_course_id uuid, p_user_id uuid)
RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_course courses%ROWTYPE;
    v_taken integer;
BEGIN
    PERFORM require_read_committed();
    PERFORM require_home('waitlist', p_course_id);
    IF NOT EXISTS (SELECT FROM courses WHERE id = p_course_id) THEN
        RAISE EXCEPTION 'no course %', p_course_id USING
            ERRCODE = 'LE012', DETAIL = jsonb_build_object('course_id', p_course_id)::text;
    END IF;
    INSERT INTO course_seats (course_id) VALUES (p_course_id) ON CONFLICT DO NOTHING;
    -- Locked before the limit is read: a seat that comes free meanwhile, or a limit that is
    -- raised, is for whoever waits by then.
    SELECT taken INTO v_taken FROM course_seats WHERE course_id = p_course_id FOR NO KEY UPDATE;
    SELECT * INTO v_course FROM courses WHERE id = p_course_id;
    PERFORM require_open(v_course);
    IF EXISTS (
        SELECT FROM claims WHERE kind = 'seat' AND fact = uuid_send(p_course_id)
            AND holder_id = p_user_id AND status <> 'released'
    ) THEN
        RAISE EXCEPTION 'user % has a seat in course %', p_user_id, p_course_id USING
            ERRCODE = 'LE022',
            DETAIL = jsonb_build_object(
                'user_id', p_user_id, 'course_id', p_course_id, 'status', 'with a seat')::text;
    END IF;
    IF v_course.max_enrollments IS NULL OR v_taken < v_course.max_enrollments THEN
        RAISE EXCEPTION 'course % is not full', p_course_id USING
            ERRCODE = 'LE043', DETAIL = jsonb_build_object('course_id', p_course_id)::text;
    END IF;
    INSERT INTO waitlist (course_id, user_id) VALUES (p_course_id, p_user_id)
    ON CONFLICT DO NOTHING;
    RETURN (
        SELECT count(*) FROM waitlist
        WHERE course_id = p_course_id AND status = 'waiting' AND id <= (
            SELECT id FROM waitlist
            WHERE course_id = p_course_id AND user_id = p_user_id AND status = 'waiting'
        )
    );
END;
$$;
