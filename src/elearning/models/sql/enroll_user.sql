-- A place in a course, with a lesson_progress row for every lesson of it. The course's row
-- is locked first, so that no lesson comes or goes meanwhile. A dropped or expired
-- enrollment is taken up again, with its progress. Returns its id.
--
-- A course with a limit takes a seat: at its home that is claimed here, and elsewhere it was
-- claimed there before (step 1, claim_seat), and this is step 2. It runs as its owner: an
-- application writes no claims.
CREATE OR REPLACE FUNCTION enroll_user(
    p_user_id uuid, p_course_id uuid, p_claim_id uuid DEFAULT NULL, p_offered boolean DEFAULT false
)
RETURNS uuid
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_user text;
    v_code CONSTANT integer := region_code_of(p_user_id);
    v_course courses%ROWTYPE;
    v_enrollment enrollments%ROWTYPE;
    v_claim_id uuid := p_claim_id;
    v_offered boolean;
    v_expires timestamptz;
BEGIN
    PERFORM require_read_committed();
    SELECT status INTO v_user FROM users WHERE id = p_user_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no user %', p_user_id USING
            ERRCODE = 'LE011', DETAIL = jsonb_build_object('user_id', p_user_id)::text;
    END IF;
    IF v_user <> 'active' THEN
        RAISE EXCEPTION 'user % is %', p_user_id, v_user USING
            ERRCODE = 'LE050',
            DETAIL = jsonb_build_object('user_id', p_user_id, 'status', v_user)::text;
    END IF;

    SELECT * INTO v_course FROM courses WHERE id = p_course_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no course %', p_course_id USING
            ERRCODE = 'LE012', DETAIL = jsonb_build_object('course_id', p_course_id)::text;
    END IF;

    -- An offer waits until its user's shard answers; what is not pending any more is not
    -- brought here.
    IF NOT p_offered AND p_claim_id IS NOT NULL THEN
        PERFORM require_fresh_claim(p_claim_id);
    END IF;
    -- What is claimed here can be looked up.
    IF p_claim_id IS NOT NULL AND is_home(region_code_of(p_course_id)) AND NOT EXISTS (
        SELECT FROM claims
        WHERE id = p_claim_id AND fact = uuid_send(p_course_id) AND holder_id = p_user_id
            AND status <> 'released'
    ) THEN
        RAISE EXCEPTION 'claim % is not there', p_claim_id USING
            ERRCODE = 'LE039', DETAIL = jsonb_build_object('claim_id', p_claim_id)::text;
    END IF;
    IF p_claim_id IS NOT NULL AND NOT use_claim(
        p_claim_id, 'seat', uuid_send(p_course_id), p_user_id, p_offered
    ) THEN
        -- Asked again: the answer was lost, or somebody else used it for the same user.
        SELECT * INTO v_enrollment FROM enrollments WHERE claim_id = p_claim_id;
        IF FOUND THEN
            RETURN v_enrollment.id;
        END IF;
    END IF;
    -- Whoever has a seat came in time; but nothing begins in an archived course.
    IF p_claim_id IS NULL OR v_course.status <> 'published' THEN
        PERFORM require_open(v_course);
    END IF;
    PERFORM require_prerequisites(p_user_id, p_course_id);

    SELECT * INTO v_enrollment
    FROM enrollments WHERE user_id = p_user_id AND course_id = p_course_id FOR NO KEY UPDATE;
    IF v_enrollment.status IN ('active', 'completed') THEN
        RAISE EXCEPTION 'user % is enrolled in course %', p_user_id, p_course_id USING
            ERRCODE = 'LE022',
            DETAIL = jsonb_build_object('user_id', p_user_id, 'course_id', p_course_id,
                                        'status', v_enrollment.status)::text;
    END IF;

    IF p_claim_id IS NULL AND v_course.max_enrollments IS NOT NULL
        AND is_home(region_code_of(p_course_id))
    THEN
        -- An offer from the waiting list is as good as a claim of one's own.
        SELECT claim_id, was_offered INTO v_claim_id, v_offered
        FROM claim_seat(new_id(v_code), p_course_id, p_user_id);
        PERFORM use_claim(v_claim_id, 'seat', uuid_send(p_course_id), p_user_id, v_offered);
        PERFORM confirm_claim(v_claim_id);
    END IF;

    v_expires := clock_timestamp() + v_course.access_days * interval '1 day';
    IF v_enrollment.id IS NULL THEN
        INSERT INTO enrollments (id, user_id, course_id, claim_id, expires_at)
        VALUES (new_id(v_code), p_user_id, p_course_id, v_claim_id, v_expires)
        RETURNING * INTO v_enrollment;
    ELSE
        UPDATE enrollments
        SET status = 'active', completion_date = NULL, enrollment_date = clock_timestamp(),
            claim_id = v_claim_id, expires_at = v_expires
        WHERE id = v_enrollment.id;
    END IF;

    INSERT INTO lesson_progress (id, enrollment_id, lesson_id)
    SELECT new_id(v_code), v_enrollment.id, lesson.id
    FROM course_lessons AS lesson
    JOIN course_modules AS module ON module.id = lesson.module_id
    WHERE module.course_id = p_course_id AND lesson.archived_at IS NULL
    ON CONFLICT (enrollment_id, lesson_id) DO NOTHING;

    -- What was open when it was dropped may have been archived since.
    UPDATE enrollments SET status = 'completed', completion_date = clock_timestamp()
    WHERE id = v_enrollment.id AND status = 'active'
        AND total_lessons > 0 AND completed_lessons = total_lessons;

    RETURN v_enrollment.id;
END;
$$;
