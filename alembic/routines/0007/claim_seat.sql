-- Step 1 of an enrollment, at the course's home: a seat is claimed, or the course is full.
-- Returns the claim that the user has now: this one, or another one that was there before.
-- A forced claim counts somebody who is in already, whatever the limit says.
CREATE OR REPLACE FUNCTION claim_seat(
    p_claim_id uuid, p_course_id uuid, p_user_id uuid, p_forced boolean DEFAULT false
)
RETURNS TABLE (claim_id uuid, claim_status text, was_offered boolean)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_course courses%ROWTYPE;
    v_free boolean;
BEGIN
    PERFORM require_read_committed();
    PERFORM require_fresh_claim(p_claim_id);
    PERFORM require_home('claims', p_course_id);
    SELECT * INTO v_course FROM courses WHERE id = p_course_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no course %', p_course_id USING
            ERRCODE = 'LE012', DETAIL = jsonb_build_object('course_id', p_course_id)::text;
    END IF;
    IF NOT p_forced THEN
        PERFORM require_open(v_course);
    END IF;

    -- The seats come before the claims, as in release_claim: two that meet cannot deadlock.
    -- A course that is full is not locked.
    INSERT INTO course_seats (course_id) VALUES (p_course_id) ON CONFLICT DO NOTHING;
    PERFORM FROM course_seats AS s
    WHERE s.course_id = p_course_id AND (
        p_forced OR v_course.max_enrollments IS NULL OR s.taken < v_course.max_enrollments)
    FOR NO KEY UPDATE;
    v_free := FOUND;

    -- Looked at after that: the last seat may have gone to the same user just now.
    RETURN QUERY
        SELECT c.id, c.status::text, c.offered FROM claims AS c WHERE c.id = p_claim_id
        UNION ALL
        SELECT c.id, c.status::text, c.offered FROM claims AS c
        WHERE c.kind = 'seat' AND c.fact = uuid_send(p_course_id)
            AND c.holder_id = p_user_id AND c.status <> 'released'
            AND c.id <> p_claim_id
        LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    IF NOT v_free THEN
        RAISE EXCEPTION 'course % is full', p_course_id USING
            ERRCODE = 'LE023',
            DETAIL = jsonb_build_object(
                'course_id', p_course_id, 'seats', v_course.max_enrollments)::text;
    END IF;

    -- Nobody else claims a seat here until this transaction ends.
    INSERT INTO claims (id, kind, fact, holder_id)
    VALUES (p_claim_id, 'seat', uuid_send(p_course_id), p_user_id);
    UPDATE course_seats AS s SET taken = s.taken + 1 WHERE s.course_id = p_course_id;
    -- Who has a seat waits no more.
    PERFORM leave_waitlist(p_course_id, p_user_id);
    RETURN QUERY SELECT p_claim_id, 'pending', false;
END;
$$;
