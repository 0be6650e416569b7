-- A course takes enrollments while it is published, and inside its window.
CREATE OR REPLACE FUNCTION require_open(p_course courses)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_course.status <> 'published' THEN
        RAISE EXCEPTION 'course % is %', p_course.id, p_course.status USING
            ERRCODE = 'LE024',
            DETAIL = jsonb_build_object(
                'course_id', p_course.id, 'status', p_course.status)::text;
    END IF;
    IF clock_timestamp() < p_course.enrollment_opens_at
        OR clock_timestamp() >= p_course.enrollment_closes_at
    THEN
        RAISE EXCEPTION 'course % takes no enrollments now', p_course.id USING
            ERRCODE = 'LE028',
            DETAIL = jsonb_build_object(
                'course_id', p_course.id,
                'opens', coalesce(p_course.enrollment_opens_at::text, 'its publication'),
                'closes', coalesce(p_course.enrollment_closes_at::text, 'its end'))::text;
    END IF;
END;
$$;
