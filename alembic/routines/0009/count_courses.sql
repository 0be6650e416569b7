-- Trigger function, once per statement on courses at home: adds what changed to the platform's
-- counters of courses. It runs as its owner: an application writes no counters.
CREATE OR REPLACE FUNCTION count_courses()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO platform_counters (name, detail, region_code, change)
        SELECT 'courses', status, region_code_of(id), count(*) FROM new_rows GROUP BY 2, 3;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO platform_counters (name, detail, region_code, change)
        SELECT 'courses', status, region_code_of(id), -count(*) FROM old_rows GROUP BY 2, 3;
    ELSE
        INSERT INTO platform_counters (name, detail, region_code, change)
        SELECT 'courses', status, region_code_of(id), sum(sign)
        FROM (
            SELECT 1 AS sign, id, status FROM new_rows
            UNION ALL
            SELECT -1, id, status FROM old_rows
        ) AS both_sides
        GROUP BY 2, 3 HAVING sum(sign) <> 0;
    END IF;
    RETURN NULL;
END;
$$;
