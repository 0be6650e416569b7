-- The words of a text, whole and each with one letter left out: two words that differ in one
-- letter (one too many, one missing, another one, two changed places) share one of these.
CREATE OR REPLACE FUNCTION misspellings(p_text text)
RETURNS tsvector
LANGUAGE sql
IMMUTABLE STRICT PARALLEL SAFE
SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT array_to_tsvector(coalesce(
        array_agg(DISTINCT CASE place WHEN 0 THEN word ELSE overlay(word PLACING '' FROM place FOR 1) END),
        '{}'))
    FROM string_to_table(search_letters(search_words(p_text)), ' ') AS word
    CROSS JOIN LATERAL generate_series(0, length(word)) AS place
    WHERE length(word) BETWEEN 4 AND 30;
END;
