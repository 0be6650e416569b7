-- Step 1 of a registration, where the address's hash belongs. Returns the claim that holds
-- the address now, and whose it is.
CREATE OR REPLACE FUNCTION claim_email(p_claim_id uuid, p_fact bytea, p_user_id uuid)
RETURNS TABLE (claim_id uuid, claim_status text, holder_id uuid)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM require_read_committed();
    PERFORM require_fresh_claim(p_claim_id);
    LOOP
        -- Waits for a concurrent claim of the same address.
        INSERT INTO claims (id, kind, fact, holder_id)
        VALUES (p_claim_id, 'email', p_fact, p_user_id)
        ON CONFLICT DO NOTHING;

        RETURN QUERY
            SELECT c.id, c.status::text, c.holder_id FROM claims AS c WHERE c.id = p_claim_id
            UNION ALL
            SELECT c.id, c.status::text, c.holder_id FROM claims AS c
            WHERE c.kind = 'email' AND c.fact = p_fact AND c.status <> 'released'
                AND c.id <> p_claim_id
            LIMIT 1;
        EXIT WHEN FOUND;
        -- It was released just now.
    END LOOP;
END;
$$;
