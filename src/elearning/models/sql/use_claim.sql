-- Step 2, on the user's shard, in the transaction that needs the claim: the row that
-- decides. True: it is used from now on; false: it was used before.
CREATE OR REPLACE FUNCTION use_claim(
    p_claim_id uuid, p_kind text, p_fact bytea, p_holder_id uuid, p_offered boolean DEFAULT false
)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    -- Waits for a concurrent decision.
    INSERT INTO claim_outcomes (claim_id, outcome, kind, fact, holder_id, offered)
    VALUES (p_claim_id, 'used', p_kind, p_fact, p_holder_id, p_offered)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN true;
    END IF;
    IF NOT EXISTS (
        SELECT FROM claim_outcomes
        WHERE claim_id = p_claim_id AND outcome = 'used'
            AND kind = p_kind AND fact = p_fact AND holder_id = p_holder_id
    ) THEN
        RAISE EXCEPTION 'claim % was released', p_claim_id USING
            ERRCODE = 'LE039', DETAIL = jsonb_build_object('claim_id', p_claim_id)::text;
    END IF;
    RETURN false;
END;
$$;
