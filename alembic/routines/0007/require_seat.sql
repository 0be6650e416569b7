-- Trigger function on enrollments: in a course with a limit, nobody is without a seat.
CREATE OR REPLACE FUNCTION require_seat()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM courses WHERE id = NEW.course_id AND max_enrollments IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'no seat is claimed in course %', NEW.course_id USING
            ERRCODE = 'LE042',
            DETAIL = jsonb_build_object(
                'user_id', NEW.user_id, 'course_id', NEW.course_id,
                'home', region_name(region_code_of(NEW.course_id)))::text;
    END IF;
    RETURN NEW;
END;
$$;
