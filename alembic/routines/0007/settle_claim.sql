-- What has become of a claim, on the user's shard; one that nobody has used is released,
-- and cannot be used any more.
CREATE OR REPLACE FUNCTION settle_claim(
    p_claim_id uuid, p_kind text, p_fact bytea, p_holder_id uuid
)
RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM require_read_committed();
    -- Waits for a transaction that is about to use it.
    INSERT INTO claim_outcomes (claim_id, outcome, kind, fact, holder_id)
    VALUES (p_claim_id, 'released', p_kind, p_fact, p_holder_id)
    ON CONFLICT DO NOTHING;
    RETURN (SELECT outcome FROM claim_outcomes WHERE claim_id = p_claim_id);
END;
$$;
