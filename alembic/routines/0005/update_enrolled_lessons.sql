-- Trigger function on course_lessons, for lessons written here and for those that
-- replication brings (ENABLE ALWAYS): a lesson that is added to a course, or
-- archived, is so for everybody who takes the course on this shard. On
-- course_modules too, for a module may be copied after its lessons.
--
-- The course's row is locked first, as enroll_user does, so that nobody enrolls
-- between; then the enrollments, which come before their progress in every flow.
CREATE OR REPLACE FUNCTION update_enrolled_lessons()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_course_id uuid;
    v_open uuid[];
    v_archived uuid[];
BEGIN
    IF current_setting('session_replication_role') = 'replica' THEN
        -- Tables are copied side by side: of a module and its lesson the later one must
        -- see the other. One lock for all, for a copy may bring any number of rows.
        PERFORM pg_advisory_xact_lock(hashtextextended('update_enrolled_lessons', 0));
    END IF;
    IF TG_TABLE_NAME = 'course_modules' THEN
        v_course_id := NEW.course_id;
        SELECT array_agg(id) FILTER (WHERE archived_at IS NULL),
               array_agg(id) FILTER (WHERE archived_at IS NOT NULL)
        INTO v_open, v_archived
        FROM course_lessons WHERE module_id = NEW.id;
    ELSE
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
        IF TG_OP = 'INSERT' OR (NEW.archived_at IS NULL) <> (OLD.archived_at IS NULL) THEN
            v_open := CASE WHEN NEW.archived_at IS NULL THEN ARRAY[NEW.id] END;
            v_archived := CASE WHEN NEW.archived_at IS NOT NULL THEN ARRAY[NEW.id] END;
        END IF;
    END IF;
    IF v_course_id IS NULL OR (v_open IS NULL AND v_archived IS NULL) THEN
        RETURN NULL;
    END IF;

    PERFORM require_read_committed();
    PERFORM FROM courses WHERE id = v_course_id FOR NO KEY UPDATE;
    PERFORM FROM enrollments WHERE course_id = v_course_id ORDER BY id FOR NO KEY UPDATE;

    INSERT INTO lesson_progress (id, enrollment_id, lesson_id)
    SELECT new_id(region_code_of(enrollment.id)), enrollment.id, lesson.id
    FROM enrollments AS enrollment, unnest(v_open) AS lesson (id)
    WHERE enrollment.course_id = v_course_id
    ON CONFLICT (enrollment_id, lesson_id) DO NOTHING;

    UPDATE lesson_progress SET archived = false WHERE lesson_id = ANY (v_open) AND archived;
    UPDATE lesson_progress SET archived = true WHERE lesson_id = ANY (v_archived) AND NOT archived;
    RETURN NULL;
END;
$$;
