-- Adds to the counters of courses for the people of some regions. The rows are locked in
-- one order, after the enrollments that are counted: two bulk changes cannot deadlock.
CREATE OR REPLACE FUNCTION count_course(
    p_courses uuid[], p_regions integer[], p_enrollments integer[], p_completions integer[],
    p_sums bigint[], p_ratings integer[]
)
RETURNS void
LANGUAGE sql
SET search_path = public, pg_temp
BEGIN ATOMIC
    INSERT INTO course_statistics AS s
        (course_id, region_code, enrollments, completions, rating_sum, total_ratings)
    SELECT change.course_id, change.region_code, 0, 0, 0, 0
    FROM unnest(p_courses, p_regions) AS change (course_id, region_code)
    ORDER BY change.course_id, change.region_code
    ON CONFLICT (course_id, region_code) DO NOTHING;

    SELECT 1 FROM course_statistics AS s
    JOIN unnest(p_courses, p_regions) AS change (course_id, region_code)
        ON change.course_id = s.course_id AND change.region_code = s.region_code
    ORDER BY s.course_id, s.region_code
    FOR NO KEY UPDATE OF s;

    UPDATE course_statistics AS s
    SET enrollments = s.enrollments + change.enrollments,
        completions = s.completions + change.completions,
        rating_sum = s.rating_sum + change.total,
        total_ratings = s.total_ratings + change.ratings
    FROM unnest(p_courses, p_regions, p_enrollments, p_completions, p_sums, p_ratings)
        AS change (course_id, region_code, enrollments, completions, total, ratings)
    WHERE s.course_id = change.course_id AND s.region_code = change.region_code;
END;
