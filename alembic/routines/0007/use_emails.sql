-- On the user's shard, in the transaction that writes the address: its claims are used.
-- One whose fact is owned here is made and confirmed at once; the others were made where
-- theirs is. Each is {"id", "fact" in hex}.
CREATE OR REPLACE FUNCTION use_emails(p_claims jsonb, p_user_id uuid, p_email text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_id uuid;
    v_fact bytea;
    v_claimed uuid;
    v_holder uuid;
BEGIN
    PERFORM require_read_committed();
    FOR v_id, v_fact IN
        SELECT (claim ->> 'id')::uuid, decode(claim ->> 'fact', 'hex')
        FROM jsonb_array_elements(p_claims) AS claim
    LOOP
        PERFORM require_fresh_claim(v_id);
        IF is_home(claim_home('email', v_fact)) THEN
            SELECT claim_id, holder_id INTO v_claimed, v_holder
            FROM claim_email(v_id, v_fact, p_user_id);
            IF v_holder <> p_user_id THEN
                RAISE EXCEPTION 'email address taken' USING
                    ERRCODE = 'LE021', DETAIL = jsonb_build_object('email', p_email)::text;
            END IF;
            -- Another request for the same account may have been quicker.
            v_id := v_claimed;
            PERFORM confirm_claim(v_id);
        END IF;
        PERFORM use_claim(v_id, 'email', v_fact, p_user_id);
    END LOOP;
END;
$$;
