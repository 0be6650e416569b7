-- On the user's shard: an enrollment that was there before its course had a limit gets its
-- claim.
CREATE OR REPLACE FUNCTION adopt_claim(p_enrollment_id uuid, p_claim_id uuid)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_enrollment enrollments%ROWTYPE;
BEGIN
    PERFORM require_read_committed();
    PERFORM require_fresh_claim(p_claim_id);
    UPDATE enrollments SET claim_id = p_claim_id
    WHERE id = p_enrollment_id AND claim_id IS NULL AND status IN ('active', 'completed')
    RETURNING * INTO v_enrollment;
    IF NOT FOUND OR NOT use_claim(
        p_claim_id, 'seat', uuid_send(v_enrollment.course_id), v_enrollment.user_id
    ) THEN
        RAISE EXCEPTION 'claim % is not needed', p_claim_id USING
            ERRCODE = 'LE039', DETAIL = jsonb_build_object('claim_id', p_claim_id)::text;
    END IF;
END;
$$;
