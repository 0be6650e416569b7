-- Trigger function: some columns tell whose a row is or what was agreed, and
-- never change once they are written. The trigger's arguments name them.
CREATE OR REPLACE FUNCTION refuse_fixed_change()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_changed CONSTANT text := (
        SELECT string_agg(name, ', ') FROM unnest(TG_ARGV) AS name
        WHERE to_jsonb(OLD) -> name IS DISTINCT FROM to_jsonb(NEW) -> name
    );
BEGIN
    RAISE EXCEPTION '% of % % is fixed', v_changed, TG_TABLE_NAME, OLD.id USING
        ERRCODE = 'LE033',
        DETAIL = jsonb_build_object(
            'table', TG_TABLE_NAME, 'id', OLD.id, 'columns', v_changed)::text;
END;
$$;
