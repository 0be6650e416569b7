-- Trigger function on courses, for what is written here and for what replication brings
-- (ENABLE ALWAYS): keeps what published courses are found by, and begins their popularity.
-- It runs as its owner: an application writes neither.
CREATE OR REPLACE FUNCTION keep_course_search()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM course_search WHERE course_id = OLD.id;
        -- What counters have not been deleted yet is theirs to take back.
        DELETE FROM course_popularity
        WHERE course_id = OLD.id AND enrollments = 0 AND completions = 0;
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND (OLD.title, OLD.description, OLD.language, OLD.status)
        IS NOT DISTINCT FROM (NEW.title, NEW.description, NEW.language, NEW.status)
    THEN
        RETURN NULL;  -- replication names all columns, whichever changed
    END IF;
    INSERT INTO course_popularity (course_id) VALUES (NEW.id) ON CONFLICT (course_id) DO NOTHING;
    IF NEW.status = 'published' THEN
        INSERT INTO course_search AS s (course_id, document, misspelt)
        VALUES (
            NEW.id,
            setweight(to_tsvector(search_config(NEW.language), NEW.title), 'A')
                -- What is longer than PostgreSQL takes is found by its beginning.
                || setweight(to_tsvector(search_config(NEW.language), left(NEW.description, 100000)), 'B'),
            misspellings(NEW.title)
        )
        ON CONFLICT (course_id) DO UPDATE
        SET document = EXCLUDED.document, misspelt = EXCLUDED.misspelt;
    ELSE
        DELETE FROM course_search WHERE course_id = NEW.id;
    END IF;
    RETURN NULL;
END;
$$;
