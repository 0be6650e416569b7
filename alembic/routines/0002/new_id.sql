-- An id for a row of a region, laid out as elearning/ids.py says: a version 8
-- UUID with the time in bytes 0 to 5 and the region code in byte 7. The random
-- bits and the variant are those of gen_random_uuid().
CREATE OR REPLACE FUNCTION new_id(p_region_code integer)
RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (
        lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '8' || substr(random.hex, 1, 1)
        || lpad(to_hex(p_region_code), 2, '0')
        || substr(random.hex, 17)
    )::uuid
    FROM (SELECT replace(gen_random_uuid()::text, '-', '') AS hex) AS random;
END;
