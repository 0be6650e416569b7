-- Trigger function, once per statement on enrollments: adds what changed to the counters
-- of the courses concerned. It runs as its owner: an application writes no counters.
CREATE OR REPLACE FUNCTION update_course_statistics()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_changes course_months[];
    v_courses uuid[];
    v_regions integer[];
    v_live integer[];
    v_done integer[];
    v_none integer[];
BEGIN
    -- One branch per event: each has its own transition tables.
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(
            ROW(course_id, region, month, enrolled, started, completed, ended)::course_months)
        INTO v_changes
        FROM (
            SELECT course_id, region_code_of(id) AS region, month_of(enrollment_date) AS month,
                count(*) AS enrolled,
                count(*) FILTER (WHERE completed_lessons > 0 OR status = 'completed') AS started,
                count(*) FILTER (WHERE status = 'completed') AS completed,
                count(*) FILTER (WHERE status IN ('dropped', 'expired')) AS ended
            FROM new_rows GROUP BY 1, 2, 3
        ) AS change;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(
            ROW(course_id, region, month, -enrolled, -started, -completed, -ended)::course_months)
        INTO v_changes
        FROM (
            SELECT course_id, region_code_of(id) AS region, month_of(enrollment_date) AS month,
                count(*) AS enrolled,
                count(*) FILTER (WHERE completed_lessons > 0 OR status = 'completed') AS started,
                count(*) FILTER (WHERE status = 'completed') AS completed,
                count(*) FILTER (WHERE status IN ('dropped', 'expired')) AS ended
            FROM old_rows GROUP BY 1, 2, 3
        ) AS change;
    ELSE
        SELECT array_agg(
            ROW(course_id, region, month, enrolled, started, completed, ended)::course_months)
        INTO v_changes
        FROM (
            SELECT course_id, region_code_of(id) AS region, month_of(enrollment_date) AS month,
                sum(sign) AS enrolled,
                sum(sign * (completed_lessons > 0 OR status = 'completed')::integer) AS started,
                sum(sign * (status = 'completed')::integer) AS completed,
                sum(sign * (status IN ('dropped', 'expired'))::integer) AS ended
            FROM (
                SELECT 1 AS sign, id, course_id, enrollment_date, completed_lessons, status
                FROM new_rows
                UNION ALL
                SELECT -1, id, course_id, enrollment_date, completed_lessons, status
                FROM old_rows
            ) AS both_sides
            GROUP BY 1, 2, 3
        ) AS change
        WHERE (enrolled, started, completed, ended) <> (0, 0, 0, 0);
    END IF;
    IF v_changes IS NULL THEN
        RETURN NULL;
    END IF;

    SELECT array_agg(course), array_agg(region), array_agg(live), array_agg(done)
    INTO v_courses, v_regions, v_live, v_done
    FROM (
        SELECT course_id AS course, region_code AS region,
            sum(enrolled - ended) AS live, sum(completed) AS done
        FROM unnest(v_changes) GROUP BY course_id, region_code
    ) AS change
    WHERE live <> 0 OR done <> 0;
    IF cardinality(v_courses) IS DISTINCT FROM cardinality(v_changes) THEN
        -- Before the months, as whoever enrolls locks them: who completes one lesson and then
        -- another one would wait for somebody who waits.
        PERFORM FROM course_statistics
        WHERE (course_id, region_code) IN (SELECT course_id, region_code FROM unnest(v_changes))
        ORDER BY course_id, region_code FOR NO KEY UPDATE;
    END IF;
    IF v_courses IS NOT NULL THEN
        v_none := array_fill(0, ARRAY[cardinality(v_courses)]);
        PERFORM count_course(v_courses, v_regions, v_live, v_done, v_none::bigint[], v_none);
    END IF;
    PERFORM count_months(v_changes);
    RETURN NULL;
END;
$$;
