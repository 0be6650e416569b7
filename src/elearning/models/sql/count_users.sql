-- Trigger function, once per statement on users: adds what changed to the platform's counters
-- of accounts. It runs as its owner: an application writes no counters.
CREATE OR REPLACE FUNCTION count_users()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO platform_counters (name, detail, region_code, month, change)
        SELECT 'users', user_type || ' ' || status, region_code_of(id), month_of(created_at), count(*)
        FROM new_rows GROUP BY 2, 3, 4;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO platform_counters (name, detail, region_code, month, change)
        SELECT 'users', user_type || ' ' || status, region_code_of(id), month_of(created_at), -count(*)
        FROM old_rows GROUP BY 2, 3, 4;
    ELSE
        INSERT INTO platform_counters (name, detail, region_code, month, change)
        SELECT 'users', user_type || ' ' || status, region_code_of(id), month_of(created_at), sum(sign)
        FROM (
            SELECT 1 AS sign, id, user_type, status, created_at FROM new_rows
            UNION ALL
            SELECT -1, id, user_type, status, created_at FROM old_rows
        ) AS both_sides
        GROUP BY 2, 3, 4 HAVING sum(sign) <> 0;
    END IF;
    RETURN NULL;
END;
$$;
