-- Adds to the counters of courses for the people of some regions, one row after another in
-- one order, after the enrollments that are counted: two bulk changes cannot deadlock, nor
-- can one of another shard that is replicated here.
CREATE OR REPLACE FUNCTION count_course(
    p_courses uuid[], p_regions integer[], p_enrollments integer[], p_completions integer[],
    p_sums bigint[], p_ratings integer[]
)
RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_change record;
BEGIN
    FOR v_change IN
        SELECT *
        FROM unnest(p_courses, p_regions, p_enrollments, p_completions, p_sums, p_ratings)
            AS change (course_id, region_code, enrollments, completions, total, ratings)
        ORDER BY course_id, region_code
    LOOP
        UPDATE course_statistics AS s
        SET enrollments = s.enrollments + v_change.enrollments,
            completions = s.completions + v_change.completions,
            rating_sum = s.rating_sum + v_change.total,
            total_ratings = s.total_ratings + v_change.ratings
        WHERE s.course_id = v_change.course_id AND s.region_code = v_change.region_code;
        IF NOT FOUND THEN
            INSERT INTO course_statistics AS s
                (course_id, region_code, enrollments, completions, rating_sum, total_ratings)
            VALUES (v_change.course_id, v_change.region_code, v_change.enrollments,
                    v_change.completions, v_change.total, v_change.ratings)
            ON CONFLICT (course_id, region_code) DO UPDATE
            SET enrollments = s.enrollments + EXCLUDED.enrollments,
                completions = s.completions + EXCLUDED.completions,
                rating_sum = s.rating_sum + EXCLUDED.rating_sum,
                total_ratings = s.total_ratings + EXCLUDED.total_ratings;
        END IF;
    END LOOP;
END;
$$;
