-- Another address for an account; the claims of the former one are given back. An
-- application changes no address in any other way.
CREATE OR REPLACE FUNCTION change_email(p_user_id uuid, p_email text, p_claims jsonb)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM FROM users WHERE id = p_user_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no user %', p_user_id USING
            ERRCODE = 'LE011', DETAIL = jsonb_build_object('user_id', p_user_id)::text;
    END IF;
    PERFORM give_back_claim(claim_id)
    FROM claim_outcomes
    WHERE holder_id = p_user_id AND kind = 'email' AND outcome = 'used';
    PERFORM use_emails(p_claims, p_user_id, p_email);
    BEGIN
        -- Waits for somebody else who is about to take the same address.
        UPDATE users SET email = p_email, email_verified_at = NULL WHERE id = p_user_id;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION 'email address taken' USING
            ERRCODE = 'LE021', DETAIL = jsonb_build_object('email', p_email)::text;
    END;
END;
$$;
