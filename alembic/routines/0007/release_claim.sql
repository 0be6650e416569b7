-- Where the fact is owned: a claim is given back, once; a seat goes to whoever waits for it.
CREATE OR REPLACE FUNCTION release_claim(p_claim_id uuid)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_claim claims%ROWTYPE;
    v_course_id uuid;
BEGIN
    PERFORM require_read_committed();
    UPDATE claims SET status = 'released', settled_at = clock_timestamp()
    WHERE id = p_claim_id AND status <> 'released'
    RETURNING * INTO v_claim;
    IF v_claim.kind = 'seat' THEN
        v_course_id := encode(v_claim.fact, 'hex')::uuid;
        UPDATE course_seats SET taken = taken - 1 WHERE course_id = v_course_id;
        PERFORM offer_seats(v_course_id);
    END IF;
END;
$$;
