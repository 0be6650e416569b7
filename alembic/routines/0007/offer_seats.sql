-- Gives the free seats of a course to those who wait, in order of arrival, as pending
-- claims; the outbox tells their shards.
CREATE OR REPLACE FUNCTION offer_seats(p_course_id uuid)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_course courses%ROWTYPE;
    v_entry waitlist%ROWTYPE;
    v_claim_id uuid;
BEGIN
    -- Locked before anything is looked at: whoever joins the list does the same.
    PERFORM FROM course_seats WHERE course_id = p_course_id FOR NO KEY UPDATE;
    SELECT * INTO v_course FROM courses WHERE id = p_course_id;
    LOOP
        EXIT WHEN v_course.status <> 'published';
        PERFORM FROM course_seats
        WHERE course_id = p_course_id AND taken < coalesce(v_course.max_enrollments, 2147483647);
        EXIT WHEN NOT FOUND;
        SELECT * INTO v_entry FROM waitlist
        WHERE course_id = p_course_id AND status = 'waiting'
        ORDER BY id LIMIT 1 FOR NO KEY UPDATE;
        EXIT WHEN NOT FOUND;

        UPDATE waitlist SET status = 'offered' WHERE id = v_entry.id;
        INSERT INTO claims (id, kind, fact, holder_id, offered)
        VALUES (new_id(region_code_of(v_entry.user_id)), 'seat', uuid_send(p_course_id),
                v_entry.user_id, true)
        ON CONFLICT DO NOTHING
        RETURNING id INTO v_claim_id;
        IF FOUND THEN
            UPDATE course_seats SET taken = taken + 1 WHERE course_id = p_course_id;
            INSERT INTO outbox (topic, payload)
            VALUES ('seat_offered', jsonb_build_object('claim_id', v_claim_id));
        END IF;
    END LOOP;
END;
$$;
