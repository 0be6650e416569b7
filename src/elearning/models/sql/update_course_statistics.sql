-- Trigger function, once per statement on enrollments: adds what changed to the counters
-- of the courses concerned. It runs as its owner: an application writes no counters.
CREATE OR REPLACE FUNCTION update_course_statistics()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_courses uuid[];
    v_regions integer[];
    v_live integer[];
    v_done integer[];
    v_none integer[];
BEGIN
    -- One branch per event: each has its own transition tables.
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(course), array_agg(region), array_agg(live), array_agg(done)
        INTO v_courses, v_regions, v_live, v_done
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region,
                count(*) FILTER (WHERE status IN ('active', 'completed')) AS live,
                count(*) FILTER (WHERE status = 'completed') AS done
            FROM new_rows GROUP BY course_id, region_code_of(id)
        ) AS change
        WHERE live <> 0;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(course), array_agg(region), array_agg(-live), array_agg(-done)
        INTO v_courses, v_regions, v_live, v_done
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region,
                count(*) FILTER (WHERE status IN ('active', 'completed')) AS live,
                count(*) FILTER (WHERE status = 'completed') AS done
            FROM old_rows GROUP BY course_id, region_code_of(id)
        ) AS change
        WHERE live <> 0;
    ELSE
        SELECT array_agg(course), array_agg(region), array_agg(live), array_agg(done)
        INTO v_courses, v_regions, v_live, v_done
        FROM (
            SELECT course_id AS course, region_code_of(id) AS region,
                sum(live) AS live, sum(done) AS done
            FROM (
                SELECT course_id, id, (status IN ('active', 'completed'))::integer AS live,
                    (status = 'completed')::integer AS done
                FROM new_rows
                UNION ALL
                SELECT course_id, id, -(status IN ('active', 'completed'))::integer,
                    -(status = 'completed')::integer
                FROM old_rows
            ) AS both_sides
            GROUP BY course_id, region_code_of(id)
        ) AS change
        WHERE live <> 0 OR done <> 0;
    END IF;

    IF v_courses IS NOT NULL THEN
        v_none := array_fill(0, ARRAY[cardinality(v_courses)]);
        PERFORM count_course(v_courses, v_regions, v_live, v_done, v_none::bigint[], v_none);
    END IF;
    RETURN NULL;
END;
$$;
