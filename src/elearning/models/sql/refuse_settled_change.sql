-- Trigger function: a completed or failed transaction stays as it is; a refund
-- is a transaction of its own. Only the way it was paid may be forgotten.
CREATE OR REPLACE FUNCTION refuse_settled_change()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_others CONSTANT text[] := ARRAY['payment_method_id', 'updated_at'];
BEGIN
    IF to_jsonb(NEW) - v_others = to_jsonb(OLD) - v_others
        AND (NEW.payment_method_id IS NULL OR NEW.payment_method_id = OLD.payment_method_id)
    THEN
        RETURN NEW;  -- a deleted payment method: ON DELETE SET NULL
    END IF;
    RAISE EXCEPTION 'transaction % is %', OLD.id, OLD.status USING
        ERRCODE = 'LE026',
        DETAIL = jsonb_build_object('transaction_id', OLD.id, 'status', OLD.status)::text;
END;
$$;
