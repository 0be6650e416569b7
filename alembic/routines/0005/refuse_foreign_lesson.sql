-- Trigger function, once per INSERT on lesson_progress: each row is of a lesson
-- of its enrollment's course that is not archived. The courses' rows are locked,
-- so a lesson cannot be archived meanwhile.
--
-- The new rows go into arrays first: a plan over the rows themselves would be
-- kept from a statement of a million rows for the next one of ten.
CREATE OR REPLACE FUNCTION refuse_foreign_lesson()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_enrollments uuid[];
    v_lessons uuid[];
    v_courses uuid[];
    v_enrollment_id uuid;
    v_lesson_id uuid;
BEGIN
    PERFORM require_read_committed();
    SELECT array_agg(enrollment_id), array_agg(lesson_id) INTO v_enrollments, v_lessons
    FROM new_rows;
    SELECT array_agg(DISTINCT course_id) INTO v_courses
    FROM enrollments WHERE id = ANY (v_enrollments);
    PERFORM FROM courses WHERE id = ANY (v_courses) ORDER BY id FOR NO KEY UPDATE;

    SELECT added.enrollment_id, added.lesson_id INTO v_enrollment_id, v_lesson_id
    FROM unnest(v_enrollments, v_lessons) AS added (enrollment_id, lesson_id)
    JOIN enrollments AS enrollment ON enrollment.id = added.enrollment_id
    JOIN course_lessons AS lesson ON lesson.id = added.lesson_id
    JOIN course_modules AS module ON module.id = lesson.module_id
    WHERE module.course_id <> enrollment.course_id OR lesson.archived_at IS NOT NULL
    LIMIT 1;

    IF FOUND THEN
        RAISE EXCEPTION 'enrollment % has no lesson %', v_enrollment_id, v_lesson_id USING
            ERRCODE = 'LE014',
            DETAIL = jsonb_build_object(
                'enrollment_id', v_enrollment_id, 'lesson_id', v_lesson_id)::text;
    END IF;
    RETURN NULL;
END;
$$;
