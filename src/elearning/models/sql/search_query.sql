-- What courses have to match for a text, whose language nobody tells: by the rules of each
-- language in use, whose courses alone it is for.
CREATE OR REPLACE FUNCTION search_query(
    p_text text,
    p_most integer, -- words
    p_near boolean, -- whether words that no course has are taken for misspelt ones
    OUT number integer, -- of words; with none or too many there is nothing to match
    OUT words tsquery, -- for title and document; NULL: all words are misspelt
    OUT stems tsquery, -- the same without the languages, to rank by
    OUT misspelt tsquery -- for misspelt: words that no course has; NULL: there are none
)
LANGUAGE plpgsql
STABLE STRICT PARALLEL SAFE
SET search_path = public, pg_temp
-- To find out that no course has a word, PostgreSQL would read them all, as it expects to find one.
SET enable_seqscan = off
AS $$
DECLARE
    v_words CONSTANT text[] := string_to_array(search_words(p_text), ' ');
    v_configs regconfig[];
    v_known text[] := '{}';
    v_near tsquery;
BEGIN
    number := cardinality(v_words);
    IF number NOT BETWEEN 1 AND p_most THEN
        RETURN;
    END IF;
    WITH RECURSIVE used (language) AS (
        (SELECT language FROM course_search ORDER BY language LIMIT 1)
        UNION ALL
        -- From one to the next by the index: there are few, in any number of courses.
        SELECT (
            SELECT s.language FROM course_search AS s
            WHERE s.language > used.language ORDER BY s.language LIMIT 1
        )
        FROM used WHERE used.language IS NOT NULL
    )
    SELECT coalesce(array_agg(DISTINCT search_config(language)), '{simple}')
    INTO v_configs FROM used WHERE language IS NOT NULL;

    IF NOT p_near THEN
        SELECT q.words, q.stems INTO words, stems
        FROM search_queries(v_words, v_configs, true, true) AS q;
        RETURN;
    END IF;
    FOR i IN 1 .. number LOOP
        SELECT q.words INTO words
        FROM search_queries(v_words[i : i], v_configs, i = number, true) AS q;
        SELECT string_agg(quote_literal(lexeme), ' | ')::tsquery INTO v_near
        FROM unnest(misspellings(v_words[i]));
        IF v_near IS NULL OR EXISTS (SELECT FROM course_search WHERE document @@ words) THEN
            v_known := v_known || v_words[i];
        ELSE
            misspelt := coalesce(misspelt && v_near, v_near);
        END IF;
    END LOOP;
    SELECT q.words, q.stems INTO words, stems
    FROM search_queries(
        v_known, v_configs, v_known[cardinality(v_known)] = v_words[number], misspelt IS NULL
    ) AS q WHERE v_known <> '{}';
END;
$$;
