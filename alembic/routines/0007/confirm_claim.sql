-- Step 3, where the fact is owned: a claim that was used is confirmed. Never one that
-- was released.
CREATE OR REPLACE FUNCTION confirm_claim(p_claim_id uuid)
RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = public, pg_temp
BEGIN ATOMIC
    UPDATE claims SET status = 'confirmed', settled_at = clock_timestamp()
    WHERE id = p_claim_id AND status = 'pending';
END;
