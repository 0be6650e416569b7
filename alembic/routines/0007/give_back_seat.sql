-- Trigger function on enrollments: one that ends gives its seat back.
CREATE OR REPLACE FUNCTION give_back_seat()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM give_back_claim(OLD.claim_id);
    IF TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;
    NEW.claim_id := NULL;
    RETURN NEW;
END;
$$;
