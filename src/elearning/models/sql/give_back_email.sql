-- Trigger function on users: an account that goes gives its address back, and MongoDB is
-- told to forget its preferences.
CREATE OR REPLACE FUNCTION give_back_email()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM give_back_claim(claim_id)
    FROM claim_outcomes
    WHERE holder_id = OLD.id AND kind = 'email' AND outcome = 'used';
    INSERT INTO outbox (topic, payload)
    VALUES ('user_deleted', jsonb_build_object('user_id', OLD.id));
    RETURN NULL;
END;
$$;
