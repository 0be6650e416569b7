-- A text with spaces around each sign of the scripts that put none between words (Chinese,
-- Japanese, Thai, Lao, Burmese, Khmer), with its marks: there each sign counts as a word.
CREATE OR REPLACE FUNCTION search_signs(p_text text)
RETURNS text
LANGUAGE sql
IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN octet_length(p_text) = length(p_text) THEN p_text ELSE
    regexp_replace(
        p_text,
        '([\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e80-\u0eaf\u0eb2\u0eb3\u0ebd-\u0ec7\u1000-\u102a'
        '\u103f\u1050-\u1055\u1780-\u17b3\u3005\u3006\u3040-\u3098\u309b-\u30ff\u31f0-\u31ff'
        '\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]'
        '[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u1056-\u109f'
        '\u17b4-\u17d3\u3099\u309a\ufe00-\ufe0f]*)',
        ' \1 ', 'g')
    END;
