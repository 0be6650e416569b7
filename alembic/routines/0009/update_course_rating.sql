-- Trigger function, once per statement on course_reviews: adds what changed to the counters
-- of a course's ratings in the region of those who wrote them; see sum_course_ratings for
-- what follows. It runs as its owner: an application writes no counters. A hidden review
-- does not count.
CREATE OR REPLACE FUNCTION update_course_rating()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_changes course_ratings[];
    v_change course_ratings;
    v_courses uuid[];
    v_regions integer[];
    v_sums bigint[];
    v_totals integer[];
    v_none integer[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(ROW(course, region, rating, number)::course_ratings)
        INTO v_changes
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region, rating, count(*) AS number
            FROM new_rows WHERE hidden_at IS NULL GROUP BY 1, 2, 3
        ) AS change;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(ROW(course, region, rating, number)::course_ratings)
        INTO v_changes
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region, rating, -count(*) AS number
            FROM old_rows WHERE hidden_at IS NULL GROUP BY 1, 2, 3
        ) AS change;
    ELSE
        SELECT array_agg(ROW(course, region, rating, number)::course_ratings)
        INTO v_changes
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region, rating, sum(sign) AS number
            FROM (
                SELECT 1 AS sign, course_id, id, rating FROM new_rows WHERE hidden_at IS NULL
                UNION ALL
                SELECT -1, course_id, id, rating FROM old_rows WHERE hidden_at IS NULL
            ) AS both_sides
            GROUP BY 1, 2, 3 HAVING sum(sign) <> 0
        ) AS change;
    END IF;

    IF v_changes IS NULL THEN
        RETURN NULL;  -- only the text changed
    END IF;

    -- Before the counters, as enroll_user locks them.
    PERFORM FROM courses WHERE id IN (SELECT course_id FROM unnest(v_changes))
    ORDER BY id FOR NO KEY UPDATE;
    SELECT array_agg(course), array_agg(region), array_agg(total), array_agg(changed)
    INTO v_courses, v_regions, v_sums, v_totals
    FROM (
        SELECT course_id AS course, region_code AS region,
            sum(rating * number) AS total, sum(number) AS changed
        FROM unnest(v_changes) GROUP BY course_id, region_code
        HAVING sum(rating * number) <> 0 OR sum(number) <> 0
    ) AS change;
    IF v_courses IS NOT NULL THEN
        v_none := array_fill(0, ARRAY[cardinality(v_courses)]);
        PERFORM count_course(v_courses, v_regions, v_none, v_none, v_sums, v_totals);
    END IF;

    FOR v_change IN
        SELECT * FROM unnest(v_changes) ORDER BY course_id, region_code, rating
    LOOP
        UPDATE course_ratings AS r SET number = r.number + v_change.number
        WHERE r.course_id = v_change.course_id AND r.region_code = v_change.region_code
            AND r.rating = v_change.rating;
        IF NOT FOUND THEN
            -- The course is locked: nobody else inserts it meanwhile.
            INSERT INTO course_ratings SELECT v_change.*;
        END IF;
    END LOOP;

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
