-- What a text is found by: its stems, by the rules of its language.
CREATE OR REPLACE FUNCTION search_vector(p_config regconfig, p_text text)
RETURNS tsvector
LANGUAGE sql
IMMUTABLE STRICT PARALLEL SAFE
SET search_path = public, pg_temp
RETURN to_tsvector(p_config, search_signs(search_letters(search_words(p_text))));
