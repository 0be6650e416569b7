-- What the courses of some languages have to match for all of some words, which are in small
-- letters. A part of search_query.
CREATE OR REPLACE FUNCTION search_queries(
    p_words text[],
    p_configs regconfig[], -- rules of languages
    p_begun boolean, -- whether the last word may be the beginning of one
    p_stop_words boolean, -- whether stop words count where there is nothing else
    OUT words tsquery, -- with the languages
    OUT stems tsquery -- without
)
LANGUAGE plpgsql
STABLE PARALLEL SAFE
SET search_path = public, pg_temp
AS $$
DECLARE
    v_all CONSTANT integer := cardinality(p_words);
    v_letters text[] := '{}';
    v_begun tsquery;
    v_config regconfig;
    v_part tsquery;
    v_own tsquery; -- of one language
    v_ways jsonb := '{}';
    v_way text;
BEGIN
    FOR i IN 1 .. v_all LOOP
        v_letters := v_letters || search_signs(search_letters(p_words[i]));
    END LOOP;
    IF p_begun AND length(p_words[v_all]) > 1 AND v_letters[v_all] !~ ' ' THEN
        v_begun := (quote_literal(v_letters[v_all]) || ':*')::tsquery;
    END IF;
    FOREACH v_config IN ARRAY p_configs LOOP
        v_own := NULL;
        FOR i IN 1 .. v_all LOOP
            -- With its accents, for a stop word may have some.
            CONTINUE WHEN to_tsvector(v_config, p_words[i]) = '';
            v_part := phraseto_tsquery(v_config, v_letters[i]);
            CONTINUE WHEN numnode(v_part) = 0;
            IF i = v_all THEN
                v_part := coalesce(v_part || v_begun, v_part);
            END IF;
            v_own := coalesce(v_own && v_part, v_part);
        END LOOP;
        IF v_own IS NULL AND p_stop_words THEN
            FOR i IN 1 .. v_all LOOP
                v_part := phraseto_tsquery('simple', v_letters[i]);
                v_own := coalesce(v_own && v_part, v_part);
            END LOOP;
        END IF;
        v_way := coalesce(v_own::text, '');
        v_ways := v_ways || jsonb_build_object(
            v_way, coalesce(v_ways ->> v_way || ' | ', '') || quote_literal('/' || v_config::text));
    END LOOP;
    FOR v_way, v_part IN SELECT key, value::tsquery FROM jsonb_each_text(v_ways) LOOP
        v_own := v_way::tsquery;
        IF v_way = '' THEN
            v_own := v_part; -- stop words alone, beside misspelt ones
        ELSE
            stems := coalesce(stems || v_own, v_own);
            IF (SELECT count(*) FROM jsonb_object_keys(v_ways)) > 1 THEN
                v_own := v_part && v_own;
            END IF;
        END IF;
        words := coalesce(words || v_own, v_own);
    END LOOP;
END;
$$;
