-- Trigger function: a row's status follows its drawn states. The trigger's
-- arguments are the legal steps, as 'before > after'; on INSERT, the trigger's
-- own condition has found a state that no row starts in.
CREATE OR REPLACE FUNCTION refuse_illegal_step()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_before CONSTANT text := CASE TG_OP WHEN 'UPDATE' THEN OLD.status ELSE 'nothing' END;
BEGIN
    IF v_before || ' > ' || NEW.status = ANY (TG_ARGV) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% % cannot go from % to %', TG_TABLE_NAME, NEW.id, v_before, NEW.status USING
        ERRCODE = 'LE032',
        DETAIL = jsonb_build_object(
            'table', TG_TABLE_NAME, 'id', NEW.id, 'before', v_before, 'after', NEW.status)::text;
END;
$$;
