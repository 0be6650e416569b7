-- Trigger function: a payment is completed together with its invoice, which
-- complete_transaction writes; refunds have none.
CREATE OR REPLACE FUNCTION require_invoice()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.invoices WHERE transaction_id = NEW.id) THEN
        RAISE EXCEPTION 'transaction % has no invoice', NEW.id USING
            ERRCODE = 'LE037',
            DETAIL = jsonb_build_object('transaction_id', NEW.id)::text;
    END IF;
    RETURN NEW;
END;
$$;
