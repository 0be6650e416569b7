-- A pending payment becomes a completed one and gets its invoice: 10 % tax, the
-- next number of its region and year. Returns the invoice's id. It runs as its
-- owner: nobody else writes invoices, or the counters of their numbers.
CREATE OR REPLACE FUNCTION complete_transaction(
    p_transaction_id uuid, p_gateway_transaction_id text
)
RETURNS uuid
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_code CONSTANT integer := region_code_of(p_transaction_id);
    v_today CONSTANT date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    v_year CONSTANT integer := extract(year FROM v_today);
    v_transaction transactions%ROWTYPE;
    v_tax bigint;
    v_number integer;
    v_invoice_id uuid;
BEGIN
    SELECT * INTO v_transaction FROM transactions WHERE id = p_transaction_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no transaction %', p_transaction_id USING
            ERRCODE = 'LE015',
            DETAIL = jsonb_build_object('transaction_id', p_transaction_id)::text;
    END IF;
    IF v_transaction.status <> 'pending' THEN
        RAISE EXCEPTION 'transaction % is %', p_transaction_id, v_transaction.status USING
            ERRCODE = 'LE026',
            DETAIL = jsonb_build_object(
                'transaction_id', p_transaction_id, 'status', v_transaction.status)::text;
    END IF;
    IF v_transaction.transaction_type = 'refund' THEN
        RAISE EXCEPTION 'transaction % is a refund', p_transaction_id USING
            ERRCODE = 'LE035',
            DETAIL = jsonb_build_object('transaction_id', p_transaction_id)::text;
    END IF;

    IF EXISTS (
        SELECT FROM transactions
        WHERE gateway = v_transaction.gateway
            AND gateway_transaction_id = p_gateway_transaction_id
    ) THEN
        RAISE EXCEPTION 'gateway id % is taken', p_gateway_transaction_id USING
            ERRCODE = 'LE027',
            DETAIL = jsonb_build_object(
                'transaction_id', p_transaction_id,
                'gateway_transaction_id', p_gateway_transaction_id,
                'gateway', v_transaction.gateway)::text;
    END IF;

    -- Half rounded up, as elearning/money.py does.
    v_tax := round(v_transaction.amount * 0.10);

    -- The counter's row stays locked until COMMIT: numbers have no gaps.
    INSERT INTO invoice_counters AS counter (region_code, year, last_number)
    VALUES (v_code, v_year, 1)
    ON CONFLICT (region_code, year) DO UPDATE SET last_number = counter.last_number + 1
    RETURNING last_number INTO v_number;

    INSERT INTO invoices (id, transaction_id, invoice_number, invoice_date, due_date,
                          subtotal, tax, total, currency, status)
    VALUES (
        new_id(v_code),
        p_transaction_id,
        format('%s-%s-%s',
               (ARRAY['NA', 'SA', 'EU', 'AF', 'AS', 'OC'])[v_code],
               v_year,
               CASE WHEN v_number < 1000000 THEN lpad(v_number::text, 6, '0')
                    ELSE v_number::text END),
        v_today,
        v_today,
        v_transaction.amount,
        v_tax,
        v_transaction.amount + v_tax,
        v_transaction.currency,
        'paid'
    )
    RETURNING id INTO v_invoice_id;

    -- After its invoice: see require_invoice.
    UPDATE transactions
    SET status = 'completed',
        gateway_transaction_id = p_gateway_transaction_id,
        completed_at = clock_timestamp()
    WHERE id = p_transaction_id;

    RETURN v_invoice_id;
END;
$$;
