-- On the user's shard: a claim that its fact's shard does not know any more, since a replica
-- was promoted there that lacked it. Whoever needs it is without one, until recovery makes
-- another.
CREATE OR REPLACE FUNCTION lose_claim(p_claim_id uuid)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE claim_outcomes SET outcome = 'released', decided_at = clock_timestamp()
    WHERE claim_id = p_claim_id AND outcome = 'used';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE enrollments SET claim_id = NULL WHERE claim_id = p_claim_id;
    RETURN true;
END;
$$;
