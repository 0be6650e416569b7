-- The code of a region's name. The same numbers stand in elearning/regions.py.
CREATE OR REPLACE FUNCTION region_code(p_region text)
RETURNS integer
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    v_names CONSTANT text[] := ARRAY[
        'north_america', 'south_america', 'europe', 'africa', 'asia', 'oceania'
    ];
    v_code CONSTANT integer := array_position(v_names, p_region);
BEGIN
    IF v_code IS NULL THEN
        RAISE EXCEPTION 'unknown region %', p_region USING
            ERRCODE = 'LE001',
            DETAIL = jsonb_build_object(
                'region', p_region, 'known', array_to_string(v_names, ', '))::text;
    END IF;
    RETURN v_code;
END;
$$;
