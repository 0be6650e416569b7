-- Locks the seats of several courses in one order, before a transaction gives seats of more
-- than one course back: two of them cannot deadlock.
CREATE OR REPLACE FUNCTION lock_seats(p_courses uuid[])
RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT 1 FROM course_seats WHERE course_id = ANY (p_courses)
    ORDER BY course_id FOR NO KEY UPDATE;
END;
