-- Offers free seats of all courses that somebody waits for, as recovery does.
CREATE OR REPLACE FUNCTION offer_all_seats()
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_course_id uuid;
BEGIN
    PERFORM require_read_committed();
    FOR v_course_id IN
        SELECT DISTINCT course_id FROM waitlist WHERE status = 'waiting' ORDER BY course_id
    LOOP
        PERFORM offer_seats(v_course_id);
    END LOOP;
END;
$$;
