-- How many published courses have some words, counted up to a number.
CREATE OR REPLACE FUNCTION search_number(p_words tsquery, p_misspelt tsquery, p_most integer)
RETURNS integer
LANGUAGE plpgsql
STABLE PARALLEL SAFE
SET search_path = public, pg_temp
-- PostgreSQL expects to find so many soon, and would read long texts; the words' index has them.
SET enable_seqscan = off
SET enable_indexscan = off
AS $$
BEGIN
    RETURN (
        SELECT count(*)
        FROM (
            SELECT FROM course_search
            WHERE document @@ p_words AND (p_misspelt IS NULL OR misspelt @@ p_misspelt)
            LIMIT p_most
        ) AS found
    );
END;
$$;
