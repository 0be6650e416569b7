-- The courses that come before this one are completed.
CREATE OR REPLACE FUNCTION require_prerequisites(p_user_id uuid, p_course_id uuid)
RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_missing text;
BEGIN
    SELECT string_agg(prerequisite.prerequisite_id::text, ', ' ORDER BY prerequisite.prerequisite_id)
    INTO v_missing
    FROM course_prerequisites AS prerequisite
    WHERE prerequisite.course_id = p_course_id AND NOT EXISTS (
        SELECT FROM enrollments AS enrollment
        WHERE enrollment.user_id = p_user_id
            AND enrollment.course_id = prerequisite.prerequisite_id
            AND enrollment.status = 'completed'
    );
    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION 'course % comes after others', p_course_id USING
            ERRCODE = 'LE044',
            DETAIL = jsonb_build_object(
                'user_id', p_user_id, 'course_id', p_course_id, 'missing', v_missing)::text;
    END IF;
END;
$$;
