-- Forgets what was released more than a day ago, long after require_fresh_claim refuses it,
-- and who waited. Returns how many rows are gone. What became of an offer is kept: it may
-- be taken up at any age, and must not be so twice.
CREATE OR REPLACE FUNCTION prune_claims()
RETURNS integer
LANGUAGE sql
SECURITY DEFINER
SET search_path = public, pg_temp
BEGIN ATOMIC
    WITH claimed AS (
        DELETE FROM claims
        WHERE status = 'released' AND settled_at < now() - interval '1 day'
        RETURNING 1
    ), decided AS (
        DELETE FROM claim_outcomes
        WHERE outcome = 'released' AND NOT offered AND decided_at < now() - interval '1 day'
        RETURNING 1
    ), waited AS (
        DELETE FROM waitlist
        WHERE status <> 'waiting' AND created_at < now() - interval '1 day'
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM claimed) + (SELECT count(*) FROM decided)
        + (SELECT count(*) FROM waited);
END;
