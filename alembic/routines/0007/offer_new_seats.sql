-- Trigger function on courses: a limit that was raised, or taken away, serves those who
-- wait, and so does a course that is published again.
CREATE OR REPLACE FUNCTION offer_new_seats()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM offer_seats(NEW.id);
    RETURN NULL;
END;
$$;
