-- Trigger function, once per statement on lesson_progress: adds what changed to
-- the counters of the enrollments concerned, so that completing a lesson costs
-- the same in a course of any length. progress_percentage follows from them.
-- Progress in archived lessons does not count. It runs as its owner: an
-- application writes no counters.
--
-- An enrollment completes with its last lesson, and is active again when a
-- lesson is un-completed; a lesson that is added to a completed one leaves it so.
CREATE OR REPLACE FUNCTION update_enrollment_progress()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_enrollments uuid[];
    v_totals integer[];
    v_completed integer[];
BEGIN
    -- One branch per event: each has its own transition tables.
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(id), array_agg(total), array_agg(done)
        INTO v_enrollments, v_totals, v_completed
        FROM (
            SELECT enrollment_id AS id, count(*) AS total, count(*) FILTER (WHERE completed) AS done
            FROM new_rows WHERE NOT archived GROUP BY enrollment_id
        ) AS change;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(id), array_agg(-total), array_agg(-done)
        INTO v_enrollments, v_totals, v_completed
        FROM (
            SELECT enrollment_id AS id, count(*) AS total, count(*) FILTER (WHERE completed) AS done
            FROM old_rows WHERE NOT archived GROUP BY enrollment_id
        ) AS change;
    ELSE
        SELECT array_agg(id), array_agg(total), array_agg(done)
        INTO v_enrollments, v_totals, v_completed
        FROM (
            SELECT enrollment_id AS id, sum(total) AS total, sum(done) AS done
            FROM (
                SELECT enrollment_id, 1 AS total, completed::integer AS done
                FROM new_rows WHERE NOT archived
                UNION ALL
                SELECT enrollment_id, -1, -completed::integer
                FROM old_rows WHERE NOT archived
            ) AS both_sides
            GROUP BY enrollment_id
            HAVING sum(total) <> 0 OR sum(done) <> 0
        ) AS change;
    END IF;

    IF v_enrollments IS NULL THEN
        RETURN NULL;  -- only time_spent or last_position changed
    END IF;

    -- Locked in the order of their ids: two bulk updates cannot deadlock.
    PERFORM FROM enrollments WHERE id = ANY (v_enrollments) ORDER BY id FOR NO KEY UPDATE;

    UPDATE enrollments AS e
    SET total_lessons = e.total_lessons + change.total,
        completed_lessons = e.completed_lessons + change.done,
        status = CASE
            -- The last open lesson was completed, or archived.
            WHEN e.status = 'active' AND (change.done > 0 OR change.total < 0 AND TG_OP = 'UPDATE')
                AND e.total_lessons + change.total > 0
                AND e.completed_lessons + change.done = e.total_lessons + change.total
                THEN 'completed'
            -- Un-completed; a lesson that is archived takes its completion along.
            WHEN e.status = 'completed' AND change.done < LEAST(change.total, 0) THEN 'active'
            ELSE e.status
        END,
        completion_date = CASE
            WHEN e.status = 'active' AND (change.done > 0 OR change.total < 0 AND TG_OP = 'UPDATE')
                AND e.total_lessons + change.total > 0
                AND e.completed_lessons + change.done = e.total_lessons + change.total
                THEN GREATEST(clock_timestamp(), e.enrollment_date)
            WHEN e.status = 'completed' AND change.done < LEAST(change.total, 0) THEN NULL
            ELSE e.completion_date
        END
    FROM unnest(v_enrollments, v_totals, v_completed) AS change (id, total, done)
    WHERE e.id = change.id;
    RETURN NULL;
END;
$$;
