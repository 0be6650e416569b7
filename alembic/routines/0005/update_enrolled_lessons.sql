-- Trigger function on course_lessons, for lessons written here and for those that
-- replication brings (ENABLE ALWAYS): a lesson that is added to a course, or
-- archived, is so for everybody who takes the course on this shard.
--
-- The course's row is locked first, as enroll_user does, so that nobody enrolls
-- between; then the enrollments, which come before their progress everywhere.
CREATE OR REPLACE FUNCTION update_enrolled_lessons()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_archived CONSTANT boolean := NEW.archived_at IS NOT NULL;
    v_course_id uuid;
BEGIN
    SELECT course_id INTO v_course_id FROM course_modules WHERE id = NEW.module_id;

    -- An error here would stop the replication of what its home has accepted.
    IF TG_OP = 'UPDATE' AND current_setting('session_replication_role') <> 'replica'
        AND v_course_id <> (SELECT course_id FROM course_modules WHERE id = OLD.module_id)
    THEN
        RAISE EXCEPTION 'lesson % would change its course', NEW.id USING
            ERRCODE = 'LE033',
            DETAIL = jsonb_build_object(
                'table', TG_TABLE_NAME, 'id', NEW.id, 'columns', 'the course')::text;
    END IF;
    IF TG_OP = 'UPDATE' AND v_archived = (OLD.archived_at IS NOT NULL) THEN
        RETURN NULL;
    END IF;

    PERFORM FROM courses WHERE id = v_course_id FOR NO KEY UPDATE;
    PERFORM FROM enrollments WHERE course_id = v_course_id ORDER BY id FOR NO KEY UPDATE;

    IF NOT v_archived THEN
        INSERT INTO lesson_progress (id, enrollment_id, lesson_id)
        SELECT new_id(region_code_of(id)), id, NEW.id
        FROM enrollments WHERE course_id = v_course_id
        ON CONFLICT (enrollment_id, lesson_id) DO NOTHING;
    END IF;

    UPDATE lesson_progress SET archived = v_archived
    WHERE lesson_id = NEW.id AND archived <> v_archived;
    RETURN NULL;
END;
$$;
