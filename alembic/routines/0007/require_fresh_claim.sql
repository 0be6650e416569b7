-- Claims that were released are forgotten after a day. One that is older than an hour is
-- refused, so that a request that comes late cannot bring back what was forgotten.
CREATE OR REPLACE FUNCTION require_fresh_claim(p_claim_id uuid)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_made CONSTANT timestamptz := to_timestamp(
        ('x' || substr(replace(p_claim_id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0);
BEGIN
    IF v_made < clock_timestamp() - interval '1 hour' THEN
        RAISE EXCEPTION 'claim % is too old', p_claim_id USING
            ERRCODE = 'LE041', DETAIL = jsonb_build_object('claim_id', p_claim_id)::text;
    END IF;
END;
$$;
