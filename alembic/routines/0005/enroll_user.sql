-- A place in a course, with a lesson_progress row for every lesson of it. The
-- course's row is locked first, so the last seat is given once. A dropped or
-- expired enrollment is taken up again, with its progress. Returns its id.
CREATE OR REPLACE FUNCTION enroll_user(p_user_id uuid, p_course_id uuid)
RETURNS uuid
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_code CONSTANT integer := region_code_of(p_user_id);
    v_course courses%ROWTYPE;
    v_enrollment enrollments%ROWTYPE;
    v_taken bigint;
BEGIN
    PERFORM require_read_committed();
    PERFORM FROM users WHERE id = p_user_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no user %', p_user_id USING
            ERRCODE = 'LE011', DETAIL = jsonb_build_object('user_id', p_user_id)::text;
    END IF;

    SELECT * INTO v_course FROM courses WHERE id = p_course_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no course %', p_course_id USING
            ERRCODE = 'LE012', DETAIL = jsonb_build_object('course_id', p_course_id)::text;
    END IF;
    IF v_course.status <> 'published' THEN
        RAISE EXCEPTION 'course % is %', p_course_id, v_course.status USING
            ERRCODE = 'LE024',
            DETAIL = jsonb_build_object(
                'course_id', p_course_id, 'status', v_course.status)::text;
    END IF;

    IF clock_timestamp() < v_course.enrollment_opens_at
        OR clock_timestamp() >= v_course.enrollment_closes_at
    THEN
        RAISE EXCEPTION 'course % takes no enrollments now', p_course_id USING
            ERRCODE = 'LE028',
            DETAIL = jsonb_build_object(
                'course_id', p_course_id,
                'opens', coalesce(v_course.enrollment_opens_at::text, 'its publication'),
                'closes', coalesce(v_course.enrollment_closes_at::text, 'its end'))::text;
    END IF;

    SELECT * INTO v_enrollment
    FROM enrollments WHERE user_id = p_user_id AND course_id = p_course_id FOR NO KEY UPDATE;
    IF v_enrollment.status IN ('active', 'completed') THEN
        RAISE EXCEPTION 'user % is enrolled in course %', p_user_id, p_course_id USING
            ERRCODE = 'LE022',
            DETAIL = jsonb_build_object('user_id', p_user_id, 'course_id', p_course_id,
                                        'status', v_enrollment.status)::text;
    END IF;

    IF v_course.max_enrollments IS NOT NULL THEN
        SELECT count(*) INTO v_taken
        FROM enrollments WHERE course_id = p_course_id AND status IN ('active', 'completed');
        IF v_taken >= v_course.max_enrollments THEN
            RAISE EXCEPTION 'course % is full', p_course_id USING
                ERRCODE = 'LE023',
                DETAIL = jsonb_build_object(
                    'course_id', p_course_id, 'seats', v_course.max_enrollments)::text;
        END IF;
    END IF;

    IF v_enrollment.id IS NULL THEN
        INSERT INTO enrollments (id, user_id, course_id)
        VALUES (new_id(v_code), p_user_id, p_course_id)
        RETURNING * INTO v_enrollment;
    ELSE
        UPDATE enrollments
        SET status = 'active', completion_date = NULL, enrollment_date = clock_timestamp()
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
