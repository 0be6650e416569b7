-- Trigger function, once per statement on transactions: adds those that are completed now to
-- the revenue of their courses and of the platform. A completed one never changes, and none
-- is deleted. It runs as its owner: an application writes no counters.
CREATE OR REPLACE FUNCTION count_payments()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    v_changes course_revenue[];
    v_change course_revenue;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(ROW(course_id, region, month, currency,
            payments, paid, refunds, refunded)::course_revenue)
        INTO v_changes
        FROM (
            SELECT course_id, region_code_of(id) AS region, month_of(completed_at) AS month, currency,
                count(*) FILTER (WHERE refund_of_id IS NULL) AS payments,
                coalesce(sum(amount) FILTER (WHERE refund_of_id IS NULL), 0) AS paid,
                count(*) FILTER (WHERE refund_of_id IS NOT NULL) AS refunds,
                coalesce(sum(amount) FILTER (WHERE refund_of_id IS NOT NULL), 0) AS refunded
            FROM new_rows WHERE status = 'completed' GROUP BY 1, 2, 3, 4
        ) AS change;
    ELSE
        SELECT array_agg(ROW(course_id, region, month, currency,
            payments, paid, refunds, refunded)::course_revenue)
        INTO v_changes
        FROM (
            SELECT n.course_id, region_code_of(n.id) AS region, month_of(n.completed_at) AS month,
                n.currency,
                count(*) FILTER (WHERE n.refund_of_id IS NULL) AS payments,
                coalesce(sum(n.amount) FILTER (WHERE n.refund_of_id IS NULL), 0) AS paid,
                count(*) FILTER (WHERE n.refund_of_id IS NOT NULL) AS refunds,
                coalesce(sum(n.amount) FILTER (WHERE n.refund_of_id IS NOT NULL), 0) AS refunded
            FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
            WHERE n.status = 'completed' AND o.status <> 'completed' GROUP BY 1, 2, 3, 4
        ) AS change;
    END IF;

    FOR v_change IN
        SELECT * FROM unnest(v_changes) WHERE course_id IS NOT NULL
        ORDER BY course_id, region_code, month, currency
    LOOP
        INSERT INTO course_revenue AS r SELECT v_change.*
        ON CONFLICT (course_id, region_code, month, currency) DO UPDATE
        SET payments = r.payments + EXCLUDED.payments, paid = r.paid + EXCLUDED.paid,
            refunds = r.refunds + EXCLUDED.refunds, refunded = r.refunded + EXCLUDED.refunded;
    END LOOP;

    INSERT INTO platform_counters (name, detail, region_code, month, currency, change)
    SELECT 'revenue', part.detail, change.region_code, change.month, change.currency,
        sum(part.number)
    FROM unnest(v_changes) AS change
    CROSS JOIN LATERAL (
        VALUES ('payments', change.payments), ('paid', change.paid),
            ('refunds', change.refunds), ('refunded', change.refunded)
    ) AS part (detail, number)
    GROUP BY part.detail, change.region_code, change.month, change.currency
    HAVING sum(part.number) <> 0;
    RETURN NULL;
END;
$$;
