-- Trigger function, once per statement on course_reviews: adds what changed to the sum
-- and the number of a course's ratings in the region of those who wrote them; see
-- sum_course_ratings for what follows. It runs as its owner: an application writes no
-- counters. A hidden review does not count.
CREATE OR REPLACE FUNCTION update_course_rating()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_courses uuid[];
    v_regions integer[];
    v_sums bigint[];
    v_totals integer[];
    v_none integer[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(course), array_agg(region), array_agg(total), array_agg(number)
        INTO v_courses, v_regions, v_sums, v_totals
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region,
                sum(rating) AS total, count(*) AS number
            FROM new_rows WHERE hidden_at IS NULL GROUP BY course_id, region_code_of(id)
        ) AS change;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(course), array_agg(region), array_agg(-total), array_agg(-number)
        INTO v_courses, v_regions, v_sums, v_totals
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region,
                sum(rating) AS total, count(*) AS number
            FROM old_rows WHERE hidden_at IS NULL GROUP BY course_id, region_code_of(id)
        ) AS change;
    ELSE
        SELECT array_agg(course), array_agg(region), array_agg(total), array_agg(number)
        INTO v_courses, v_regions, v_sums, v_totals
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region,
                sum(total) AS total, sum(number) AS number
            FROM (
                SELECT course_id, id, rating AS total, 1 AS number FROM new_rows
                WHERE hidden_at IS NULL
                UNION ALL
                SELECT course_id, id, -rating, -1 FROM old_rows WHERE hidden_at IS NULL
            ) AS both_sides
            GROUP BY course_id, region_code_of(id)
            HAVING sum(total) <> 0 OR sum(number) <> 0
        ) AS change;
    END IF;

    IF v_courses IS NULL THEN
        RETURN NULL;  -- only the text changed
    END IF;

    -- Before the counters, as enroll_user locks them.
    PERFORM FROM courses WHERE id = ANY (v_courses) ORDER BY id FOR NO KEY UPDATE;
    v_none := array_fill(0, ARRAY[cardinality(v_courses)]);
    PERFORM count_course(v_courses, v_regions, v_none, v_none, v_sums, v_totals);
    INSERT INTO platform_counters (name, detail, region_code, change)
    SELECT 'reviews', part.detail, change.region, sum(part.number)
    FROM unnest(v_regions, v_totals, v_sums) AS change (region, number, total)
    CROSS JOIN LATERAL (VALUES ('number', change.number), ('rating_sum', change.total))
        AS part (detail, number)
    GROUP BY part.detail, change.region
    HAVING sum(part.number) <> 0;
    RETURN NULL;
END;
$$;
