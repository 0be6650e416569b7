-- Trigger function: a course carries its instructor's public name, which is all of a
-- person that leaves the home region. On courses it looks the name up; on users it
-- passes a new one on.
CREATE OR REPLACE FUNCTION keep_instructor_name()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'courses' THEN
        NEW.instructor_name := coalesce(
            -- Locked: a name that is being changed is waited for, or waits for this course.
            (SELECT first_name || ' ' || last_name FROM users WHERE id = NEW.instructor_id
             FOR SHARE), '');
        RETURN NEW;
    END IF;
    UPDATE courses SET instructor_name = NEW.first_name || ' ' || NEW.last_name
    WHERE instructor_id = NEW.id;
    RETURN NULL;
END;
$$;
