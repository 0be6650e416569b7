-- The region code in an id: byte 7.
CREATE OR REPLACE FUNCTION region_code_of(p_id uuid)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN get_byte(uuid_send(p_id), 7);
