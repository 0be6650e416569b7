-- The name of a region's code; the inverse of region_code.
CREATE OR REPLACE FUNCTION region_name(p_code integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY[
    'north_america', 'south_america', 'europe', 'africa', 'asia', 'oceania'
])[p_code];
