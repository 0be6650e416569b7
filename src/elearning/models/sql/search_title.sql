-- What a course is found by in its title: stems, the words as they are, for prefixes and for
-- what are stop words, and the rules of its language, such as /english, which is no word.
CREATE OR REPLACE FUNCTION search_title(p_language text, p_title text)
RETURNS tsvector
LANGUAGE sql
IMMUTABLE STRICT PARALLEL SAFE
SET search_path = public, pg_temp
-- Put together as texts, a stem and its word have one place.
RETURN setweight(
    (search_vector(search_config(p_language), p_title)::text || ' '
        || search_vector('simple', p_title)::text)::tsvector, 'A')
    || array_to_tsvector(ARRAY['/' || search_config(p_language)::text]);
