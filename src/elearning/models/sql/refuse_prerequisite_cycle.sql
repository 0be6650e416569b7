-- Trigger function on course_prerequisites: no course comes before itself, as far as this
-- shard knows of the courses of others; flows.add_prerequisite asks those.
CREATE OR REPLACE FUNCTION refuse_prerequisite_cycle()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    -- Two at once could make a circle that neither sees.
    PERFORM require_read_committed();
    PERFORM pg_advisory_xact_lock(hashtextextended('course_prerequisites', 0));
    IF EXISTS (
        WITH RECURSIVE before (id) AS (
            SELECT NEW.prerequisite_id
            UNION
            SELECT p.prerequisite_id
            FROM before JOIN course_prerequisites AS p ON p.course_id = before.id
        )
        SELECT FROM before WHERE id = NEW.course_id
    ) THEN
        RAISE EXCEPTION 'course % would come before itself', NEW.course_id USING
            ERRCODE = 'LE047', DETAIL = jsonb_build_object(
                'course_id', NEW.course_id, 'prerequisite_id', NEW.prerequisite_id)::text;
    END IF;
    RETURN NEW;
END;
$$;
