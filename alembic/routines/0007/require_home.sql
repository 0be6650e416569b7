-- Seats and those who wait for them are written at the course's home, and nowhere else.
CREATE OR REPLACE FUNCTION require_home(p_table text, p_course_id uuid)
RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT is_home(region_code_of(p_course_id)) THEN
        RAISE EXCEPTION 'course % is not at home here', p_course_id USING
            ERRCODE = 'LE031',
            DETAIL = jsonb_build_object(
                'id', p_course_id, 'table', p_table,
                'region', region_code_of(p_course_id))::text;
    END IF;
END;
$$;
