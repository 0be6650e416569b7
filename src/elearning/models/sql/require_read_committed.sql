-- What counts under a lock must see what others have committed meanwhile, so it is
-- refused in a transaction that looks at an older snapshot. What replication brings
-- is never refused.
CREATE OR REPLACE FUNCTION require_read_committed()
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed'
        AND current_setting('session_replication_role') <> 'replica'
    THEN
        RAISE EXCEPTION 'not in a transaction that is %', current_setting('transaction_isolation')
            USING ERRCODE = 'LE036',
            DETAIL = jsonb_build_object(
                'isolation', current_setting('transaction_isolation'))::text;
    END IF;
END;
$$;
