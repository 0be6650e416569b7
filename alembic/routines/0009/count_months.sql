-- Adds to the enrollments of courses by month, one row after another in one order: two
-- bulk changes cannot deadlock.
CREATE OR REPLACE FUNCTION count_months(p_changes course_months[])
RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_change course_months;
BEGIN
    FOR v_change IN
        SELECT * FROM unnest(p_changes) ORDER BY course_id, region_code, month
    LOOP
        UPDATE course_months AS m
        SET enrolled = m.enrolled + v_change.enrolled,
            started = m.started + v_change.started,
            completed = m.completed + v_change.completed,
            ended = m.ended + v_change.ended
        WHERE m.course_id = v_change.course_id AND m.region_code = v_change.region_code
            AND m.month = v_change.month;
        IF NOT FOUND THEN
            INSERT INTO course_months AS m SELECT v_change.*
            ON CONFLICT (course_id, region_code, month) DO UPDATE
            SET enrolled = m.enrolled + EXCLUDED.enrolled,
                started = m.started + EXCLUDED.started,
                completed = m.completed + EXCLUDED.completed,
                ended = m.ended + EXCLUDED.ended;
        END IF;
    END LOOP;

    INSERT INTO platform_counters (name, detail, region_code, month, change)
    SELECT 'enrollments', part.detail, change.region_code, change.month, sum(part.number)
    FROM unnest(p_changes) AS change
    CROSS JOIN LATERAL (
        VALUES ('enrolled', change.enrolled), ('started', change.started),
            ('completed', change.completed), ('ended', change.ended)
    ) AS part (detail, number)
    GROUP BY part.detail, change.region_code, change.month
    HAVING sum(part.number) <> 0;
END;
$$;
