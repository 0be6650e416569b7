-- Step 3, where the fact is owned: a claim that was used is confirmed. Never one that
-- was released. The state is told in a way that leaves the index of pending claims aside: by
-- that one all of them would be looked at.
CREATE OR REPLACE FUNCTION confirm_claim(p_claim_id uuid)
RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = public, pg_temp
BEGIN ATOMIC
    UPDATE claims SET status = 'confirmed', settled_at = clock_timestamp()
    WHERE id = p_claim_id AND status NOT IN ('confirmed', 'released');
END;
