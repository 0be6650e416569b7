-- Whether a user can take a course, as far as the user's shard can tell, before anything is
-- claimed. Returns whether seats are limited; NULL: there is no published copy here.
CREATE OR REPLACE FUNCTION check_enrollment(p_user_id uuid, p_course_id uuid)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_user text;
    v_course courses%ROWTYPE;
    v_status text;
BEGIN
    SELECT status INTO v_user FROM users WHERE id = p_user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no user %', p_user_id USING
            ERRCODE = 'LE011', DETAIL = jsonb_build_object('user_id', p_user_id)::text;
    END IF;
    IF v_user <> 'active' THEN
        RAISE EXCEPTION 'user % is %', p_user_id, v_user USING
            ERRCODE = 'LE050',
            DETAIL = jsonb_build_object('user_id', p_user_id, 'status', v_user)::text;
    END IF;
    SELECT * INTO v_course FROM courses WHERE id = p_course_id;
    IF NOT FOUND OR v_course.status <> 'published' THEN
        RETURN NULL;
    END IF;
    PERFORM require_open(v_course);
    SELECT status INTO v_status FROM enrollments
    WHERE user_id = p_user_id AND course_id = p_course_id AND status IN ('active', 'completed');
    IF FOUND THEN
        RAISE EXCEPTION 'user % is enrolled in course %', p_user_id, p_course_id USING
            ERRCODE = 'LE022',
            DETAIL = jsonb_build_object('user_id', p_user_id, 'course_id', p_course_id,
                                        'status', v_status)::text;
    END IF;
    PERFORM require_prerequisites(p_user_id, p_course_id);
    RETURN v_course.max_enrollments IS NOT NULL;
END;
$$;
