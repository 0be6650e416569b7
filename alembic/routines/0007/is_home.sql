-- Whether this shard hosts a region.
CREATE OR REPLACE FUNCTION is_home(p_code integer)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = public, pg_temp
RETURN EXISTS (SELECT FROM hosted_regions WHERE region_code = p_code);
