-- Adds the changes of the platform's counters up, so that each counter is one row again; returns
-- how many rows that saved. Somebody else who does it is not waited for. What is not committed
-- yet is not seen, and stays for the next time; readers see all rows of before or all of after.
CREATE OR REPLACE FUNCTION fold_platform_counters()
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_taken bigint;
    v_given bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('platform_counters', 0)) THEN
        RETURN 0;
    END IF;
    WITH taken AS (
        DELETE FROM platform_counters
        WHERE id IN (
            SELECT unnest(array_agg(id)) FROM platform_counters
            GROUP BY name, detail, region_code, month, currency
            HAVING count(*) > 1 OR sum(change) = 0
        )
        RETURNING name, detail, region_code, month, currency, change
    ), given AS (
        INSERT INTO platform_counters (name, detail, region_code, month, currency, change)
        SELECT name, detail, region_code, month, currency, sum(change)
        FROM taken GROUP BY name, detail, region_code, month, currency
        HAVING sum(change) <> 0
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM given) INTO v_taken, v_given;
    RETURN v_taken - v_given;
END;
$$;
