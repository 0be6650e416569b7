-- Trigger function, for what is counted here and for what replication brings (ENABLE
-- ALWAYS): a course's rating and popularity are those of all regions, on every shard. On
-- course_statistics it adds what changed; on courses it begins a copy with what came before it.
CREATE OR REPLACE FUNCTION sum_course_ratings()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_course_id uuid;
    v_total bigint := 0;
    v_ratings integer := 0;
    v_enrollments integer := 0;
    v_completions integer := 0;
    v_role text;
BEGIN
    IF TG_TABLE_NAME = 'courses' THEN
        IF current_setting('session_replication_role') = 'replica' THEN
            -- Counters of another region come by another way: the later one must see the other.
            -- One lock for all, for a copy may bring any number of rows.
            PERFORM pg_advisory_xact_lock(hashtextextended('sum_course_ratings', 0));
        END IF;
        SELECT coalesce(sum(rating_sum), 0), coalesce(sum(total_ratings), 0)
        INTO NEW.rating_sum, NEW.total_ratings
        FROM course_statistics WHERE course_id = NEW.id;
        RETURN NEW;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        v_course_id := NEW.course_id;
        v_total := NEW.rating_sum;
        v_ratings := NEW.total_ratings;
        v_enrollments := NEW.enrollments;
        v_completions := NEW.completions;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        v_course_id := OLD.course_id;
        v_total := v_total - OLD.rating_sum;
        v_ratings := v_ratings - OLD.total_ratings;
        v_enrollments := v_enrollments - OLD.enrollments;
        v_completions := v_completions - OLD.completions;
    END IF;
    -- Not where the counters follow from a copied lesson, which has a lock of its own.
    IF current_setting('session_replication_role') = 'replica' AND pg_trigger_depth() = 1 THEN
        -- All shards count for the same courses, each in the order of its own transactions.
        PERFORM pg_advisory_xact_lock(hashtextextended('sum_course_ratings', 0));
        -- And before its popularity the course, as whoever enrolls or adds a lesson locks them.
        PERFORM FROM courses WHERE id = v_course_id FOR NO KEY UPDATE;
    END IF;
    IF v_total <> 0 OR v_ratings <> 0 THEN
        IF current_setting('session_replication_role') <> 'replica'
            AND NOT is_home(region_code_of(v_course_id))
        THEN
            -- A copy's instructor is elsewhere, and PostgreSQL would look for that one when a
            -- row changes a second time in one transaction, though its key does not.
            v_role := current_setting('session_replication_role');
            PERFORM set_config('session_replication_role', 'replica', true);
        END IF;
        UPDATE courses
        SET rating_sum = rating_sum + v_total, total_ratings = total_ratings + v_ratings
        WHERE id = v_course_id;
        IF v_role IS NOT NULL THEN
            PERFORM set_config('session_replication_role', v_role, true);
        END IF;
    END IF;
    IF v_enrollments <> 0 OR v_completions <> 0 THEN
        UPDATE course_popularity
        SET enrollments = enrollments + v_enrollments, completions = completions + v_completions
        WHERE course_id = v_course_id;
        IF NOT FOUND THEN
            -- Counters may come before their course does.
            INSERT INTO course_popularity AS p (course_id, enrollments, completions)
            VALUES (v_course_id, v_enrollments, v_completions)
            ON CONFLICT (course_id) DO UPDATE
            SET enrollments = p.enrollments + EXCLUDED.enrollments,
                completions = p.completions + EXCLUDED.completions;
        END IF;
    END IF;
    RETURN NULL;
END;
$$;
