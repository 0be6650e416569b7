-- Trigger function on course_categories: a branch is never below itself. All branches of a
-- tree are at home on one shard, and whoever moves one there waits for whoever moves another:
-- two moves at once could make a circle that neither sees. Once per statement, before a row of
-- it is locked, it only waits: who moves two branches holds none that another one waits with.
CREATE OR REPLACE FUNCTION refuse_category_cycle()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM require_read_committed();
    PERFORM pg_advisory_xact_lock(hashtextextended('course_categories', 0));
    IF TG_LEVEL = 'STATEMENT' THEN
        RETURN NULL;
    END IF;
    IF NOT is_home(region_code_of(NEW.parent_id)) THEN
        RAISE EXCEPTION 'category % is at home elsewhere', NEW.parent_id USING
            ERRCODE = 'LE045', DETAIL = jsonb_build_object(
                'category_id', NEW.id, 'parent_id', NEW.parent_id)::text;
    END IF;
    IF EXISTS (
        WITH RECURSIVE above (id) AS (
            SELECT NEW.parent_id
            UNION
            SELECT c.parent_id FROM above JOIN course_categories AS c ON c.id = above.id
            WHERE c.parent_id IS NOT NULL
        )
        SELECT FROM above WHERE id = NEW.id
    ) THEN
        RAISE EXCEPTION 'category % would be below itself', NEW.id USING
            ERRCODE = 'LE046', DETAIL = jsonb_build_object(
                'category_id', NEW.id, 'parent_id', NEW.parent_id)::text;
    END IF;
    RETURN NEW;
END;
$$;
