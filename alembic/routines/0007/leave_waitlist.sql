-- At the course's home: true where somebody waited, and does no more.
CREATE OR REPLACE FUNCTION leave_waitlist(p_course_id uuid, p_user_id uuid)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE waitlist SET status = 'left'
    WHERE course_id = p_course_id AND user_id = p_user_id AND status = 'waiting';
    RETURN FOUND;
END;
$$;
