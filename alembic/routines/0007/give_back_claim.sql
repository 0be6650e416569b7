-- On the user's shard, in the transaction that needs a claim no more: at once where its
-- fact is owned here, else the outbox tells its home.
CREATE OR REPLACE FUNCTION give_back_claim(p_claim_id uuid)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_outcome claim_outcomes%ROWTYPE;
    v_home integer;
BEGIN
    UPDATE claim_outcomes SET outcome = 'released', decided_at = clock_timestamp()
    WHERE claim_id = p_claim_id AND outcome = 'used'
    RETURNING * INTO v_outcome;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_home := claim_home(v_outcome.kind, v_outcome.fact);
    IF is_home(v_home) THEN
        PERFORM release_claim(p_claim_id);
    ELSE
        INSERT INTO outbox (topic, payload)
        VALUES ('claim_released', jsonb_build_object(
            'claim_id', p_claim_id, 'home', region_name(v_home)));
    END IF;
END;
$$;
