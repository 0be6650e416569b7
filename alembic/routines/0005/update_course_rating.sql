-- Trigger function, once per statement on course_reviews: adds what changed to
-- the sum and the number of a course's ratings; courses.rating follows from them.
-- It runs as its owner: an application writes no counters.
CREATE OR REPLACE FUNCTION update_course_rating()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_courses uuid[];
    v_sums bigint[];
    v_totals integer[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(id), array_agg(total), array_agg(number)
        INTO v_courses, v_sums, v_totals
        FROM (
            SELECT course_id AS id, sum(rating) AS total, count(*) AS number
            FROM new_rows GROUP BY course_id
        ) AS change;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(id), array_agg(-total), array_agg(-number)
        INTO v_courses, v_sums, v_totals
        FROM (
            SELECT course_id AS id, sum(rating) AS total, count(*) AS number
            FROM old_rows GROUP BY course_id
        ) AS change;
    ELSE
        SELECT array_agg(id), array_agg(total), array_agg(number)
        INTO v_courses, v_sums, v_totals
        FROM (
            SELECT course_id AS id, sum(total) AS total, sum(number) AS number
            FROM (
                SELECT course_id, rating AS total, 1 AS number FROM new_rows
                UNION ALL
                SELECT course_id, -rating, -1 FROM old_rows
            ) AS both_sides
            GROUP BY course_id
            HAVING sum(total) <> 0 OR sum(number) <> 0
        ) AS change;
    END IF;

    IF v_courses IS NULL THEN
        RETURN NULL;  -- only the text changed
    END IF;

    PERFORM FROM courses WHERE id = ANY (v_courses) ORDER BY id FOR NO KEY UPDATE;

    UPDATE courses AS c
    SET rating_sum = c.rating_sum + change.total,
        total_ratings = c.total_ratings + change.number
    FROM unnest(v_courses, v_sums, v_totals) AS change (id, total, number)
    WHERE c.id = change.id;
    RETURN NULL;
END;
$$;
