-- The words of a text, in small letters and parted by one space each: nothing but letters, their
-- marks and digits is left. By the characters' own numbers, for whether a character is a letter
-- depends on a database's locale, and under "C" all of those past ASCII are.
CREATE OR REPLACE FUNCTION search_words(p_text text)
RETURNS text
LANGUAGE sql
IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN btrim(regexp_replace(
    lower(normalize(p_text, NFKC)),
    '[\u0001-\u002f\u003a-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7'
    '\u02c2-\u02df\u037e\u0387\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4'
    '\u0600-\u060f\u061b-\u061f\u066a-\u066d\u06d4\u0700-\u070d\u0964\u0965\u0e3f\u0e4f\u0e5a\u0e5b'
    '\u104a-\u104f\u10fb\u166d\u1680\u17d4-\u17d6\u17d8-\u17db\u2000-\u206f\u207a-\u207e\u208a-\u208e'
    '\u20a0-\u20cf\u2100-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3007-\u3020\u3030\u303d\u30a0\u30fb'
    '\ud800-\uf8ff\ufe00-\ufe1f\ufe30-\ufe6f\uff00-\uff0f\ufff0-\uffff'
    '\U0001d100-\U0001d1ff\U0001f000-\U0001faff\U000e0000-\U0010ffff]+',
    ' ', 'g'));
