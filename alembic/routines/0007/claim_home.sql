-- The code of the region that owns a fact: of a course, its own; of an address, its hash
-- modulo six. The same stands in elearning/email_hash.py.
CREATE OR REPLACE FUNCTION claim_home(p_kind text, p_fact bytea)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_kind
    WHEN 'seat' THEN get_byte(p_fact, 7)
    ELSE (get_byte(p_fact, 34) * 256 + get_byte(p_fact, 35)) % 6 + 1
END;
