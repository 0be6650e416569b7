-- Trigger function: a row whose id names a region that this shard does not host is
-- refused, and a copy of such a row is neither changed nor deleted here. Names are told
-- with their schema: a temporary table must not stand in for one of ours. A trigger and
-- not a CHECK: ordinary triggers do not fire for rows that logical replication brings
-- from their home.
CREATE OR REPLACE FUNCTION refuse_misrouted_row()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_id CONSTANT uuid := CASE TG_OP WHEN 'INSERT' THEN NEW.id ELSE OLD.id END;
BEGIN
    IF TG_OP <> 'INSERT' AND NOT EXISTS (
        SELECT FROM public.hosted_regions WHERE region_code = public.region_code_of(v_id)
    ) THEN
        RAISE EXCEPTION 'row % of % is a copy', v_id, TG_TABLE_NAME USING
            ERRCODE = 'LE038',
            DETAIL = jsonb_build_object(
                'id', v_id, 'table', TG_TABLE_NAME,
                'home', public.region_name(public.region_code_of(v_id)))::text;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF get_byte(uuid_send(NEW.id), 6) >> 4 <> 8 OR NOT EXISTS (
        SELECT FROM public.hosted_regions WHERE region_code = public.region_code_of(NEW.id)
    ) THEN
        RAISE EXCEPTION 'row % of % does not belong on this shard', NEW.id, TG_TABLE_NAME USING
            ERRCODE = 'LE031',
            DETAIL = jsonb_build_object(
                'id', NEW.id, 'table', TG_TABLE_NAME, 'region', public.region_code_of(NEW.id))::text;
    END IF;
    RETURN NEW;
END;
$$;
