-- Trigger function on courses, for what is written here and for what replication brings
-- (ENABLE ALWAYS): keeps what published courses are found by, and begins their popularity.
-- It runs as its owner: an application writes neither.
CREATE OR REPLACE FUNCTION keep_course_search()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_title tsvector;
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
        -- Replication names all columns, whichever changed. The words, with their large
        -- indexes, stay as they are.
        IF NEW.status = 'published'
            AND (OLD.category_id, OLD.level, OLD.price, OLD.currency, OLD.rating)
                IS DISTINCT FROM (NEW.category_id, NEW.level, NEW.price, NEW.currency, NEW.rating)
        THEN
            UPDATE course_search
            SET category_id = NEW.category_id, level = NEW.level, price = NEW.price,
                currency = NEW.currency, rating = NEW.rating
            WHERE course_id = NEW.id;
        END IF;
        RETURN NULL;
    END IF;
    INSERT INTO course_popularity (course_id) VALUES (NEW.id) ON CONFLICT (course_id) DO NOTHING;
    IF NEW.status = 'published' THEN
        v_title := search_title(NEW.language, NEW.title);
        INSERT INTO course_search AS s (
            course_id, title, document, misspelt,
            category_id, level, language, price, currency, rating
        )
        VALUES (
            NEW.id,
            v_title,
            v_title
                -- What is longer than PostgreSQL takes is found by its beginning.
                || setweight(search_vector(
                    search_config(NEW.language), left(NEW.description, 100000)), 'B'),
            misspellings(NEW.title),
            NEW.category_id, NEW.level, NEW.language, NEW.price, NEW.currency, NEW.rating
        )
        ON CONFLICT (course_id) DO UPDATE
        SET title = EXCLUDED.title, document = EXCLUDED.document, misspelt = EXCLUDED.misspelt,
            category_id = EXCLUDED.category_id, level = EXCLUDED.level,
            language = EXCLUDED.language, price = EXCLUDED.price,
            currency = EXCLUDED.currency, rating = EXCLUDED.rating;
    ELSE
        DELETE FROM course_search WHERE course_id = NEW.id;
    END IF;
    RETURN NULL;
END;
$$;
