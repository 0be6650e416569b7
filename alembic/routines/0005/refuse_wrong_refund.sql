-- Trigger function: a refund takes back a completed payment of the same user, course
-- and currency, and all refunds of a payment together are no more than it. The
-- payment's row is locked, so two refunds at once cannot exceed it.
CREATE OR REPLACE FUNCTION refuse_wrong_refund()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_payment transactions%ROWTYPE;
    v_refunded bigint;
    v_problem text;
BEGIN
    PERFORM require_read_committed();
    SELECT * INTO v_payment FROM transactions WHERE id = NEW.refund_of_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NEW;  -- the CHECK or the foreign key says so
    END IF;
    SELECT coalesce(sum(amount), 0) INTO v_refunded
    FROM transactions WHERE refund_of_id = NEW.refund_of_id AND status <> 'failed';

    v_problem := CASE
        WHEN v_payment.transaction_type = 'refund' THEN 'is a refund itself'
        WHEN v_payment.status <> 'completed' THEN 'is ' || v_payment.status
        WHEN v_payment.user_id <> NEW.user_id THEN 'is of another user'
        WHEN v_payment.course_id IS DISTINCT FROM NEW.course_id THEN 'is for another course'
        WHEN NEW.amount <= 0 THEN 'is not touched by that amount'
        WHEN v_payment.currency <> NEW.currency THEN 'is in ' || v_payment.currency
        WHEN v_payment.amount < v_refunded + NEW.amount THEN
            format('is of %s, and %s of it is refunded', v_payment.amount, v_refunded)
    END;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'transaction % %', v_payment.id, v_problem USING
            ERRCODE = 'LE034',
            DETAIL = jsonb_build_object(
                'transaction_id', v_payment.id, 'problem', v_problem,
                'amount', NEW.amount, 'currency', NEW.currency)::text;
    END IF;
    RETURN NEW;
END;
$$;
