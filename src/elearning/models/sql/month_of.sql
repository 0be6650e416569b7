-- The first day of the month that a moment falls in, by UTC.
CREATE OR REPLACE FUNCTION month_of(p_moment timestamptz)
RETURNS date
LANGUAGE sql
IMMUTABLE STRICT PARALLEL SAFE
RETURN date_trunc('month', p_moment AT TIME ZONE 'UTC')::date;
