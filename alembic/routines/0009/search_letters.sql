-- A text of small letters without the accents of its Latin letters: who types no accents finds
-- what has them. Other scripts keep their marks, which often make another letter.
CREATE OR REPLACE FUNCTION search_letters(p_text text)
RETURNS text
LANGUAGE sql
IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN octet_length(p_text) = length(p_text) THEN p_text ELSE
    normalize(
        regexp_replace(
            normalize(
                replace(replace(replace(
                    translate(p_text, 'ıøłđħ', 'ioldh'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'),
                NFD),
            '([a-z])[\u0300-\u036f]+', '\1', 'g'),
        NFC)
    END;
