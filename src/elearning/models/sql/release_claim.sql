-- Where the fact is owned: a claim is given back, once; a seat goes to whoever waits for it.
CREATE OR REPLACE FUNCTION release_claim(p_claim_id uuid)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_course_id uuid;
BEGIN
    PERFORM require_read_committed();
    SELECT encode(fact, 'hex')::uuid INTO v_course_id
    FROM claims WHERE id = p_claim_id AND kind = 'seat' AND status <> 'released';
    IF FOUND THEN
        -- The seats come before the claims, as in claim_seat: two that meet cannot deadlock.
        PERFORM FROM course_seats WHERE course_id = v_course_id FOR NO KEY UPDATE;
    END IF;
    UPDATE claims SET status = 'released', settled_at = clock_timestamp()
    WHERE id = p_claim_id AND status <> 'released';
    IF FOUND AND v_course_id IS NOT NULL THEN
        UPDATE course_seats SET taken = taken - 1 WHERE course_id = v_course_id;
        PERFORM offer_seats(v_course_id);
    END IF;
END;
$$;
