"""The functions and triggers, each with the text it has in this revision.

Revision: 0002
Revises: 0001

* update_modified_timestamp keeps updated_at true for every writer;
* refuse_misrouted_row keeps rows off shards that do not host their region;
* update_enrollment_progress counts completed lessons, once per statement;
* update_course_rating sums up the reviews of a course.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REGION_CODE = r"""
-- The code of a region's name. The same numbers stand in elearning/regions.py.
CREATE OR REPLACE FUNCTION region_code(p_region text)
RETURNS integer
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    v_names CONSTANT text[] := ARRAY[
        'north_america', 'south_america', 'europe', 'africa', 'asia', 'oceania'
    ];
    v_code CONSTANT integer := array_position(v_names, p_region);
BEGIN
    IF v_code IS NULL THEN
        RAISE EXCEPTION 'unknown region %', p_region USING
            ERRCODE = 'LE001',
            DETAIL = jsonb_build_object(
                'region', p_region, 'known', array_to_string(v_names, ', '))::text;
    END IF;
    RETURN v_code;
END;
$$;
"""

REGION_CODE_OF = r"""
-- The region code in an id: byte 7.
CREATE OR REPLACE FUNCTION region_code_of(p_id uuid)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN get_byte(uuid_send(p_id), 7);
"""

NEW_ID = r"""
-- An id for a row of a region, laid out as elearning/ids.py says: a version 8
-- UUID with the time in bytes 0 to 5 and the region code in byte 7. The random
-- bits and the variant are those of gen_random_uuid().
CREATE OR REPLACE FUNCTION new_id(p_region_code integer)
RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (
        lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '8' || substr(random.hex, 1, 1)
        || lpad(to_hex(p_region_code), 2, '0')
        || substr(random.hex, 17)
    )::uuid
    FROM (SELECT replace(gen_random_uuid()::text, '-', '') AS hex) AS random;
END;
"""

UPDATE_MODIFIED_TIMESTAMP = r"""
-- Trigger function: updated_at is the time of the last change.
CREATE OR REPLACE FUNCTION update_modified_timestamp()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END;
$$;
"""

REFUSE_MISROUTED_ROW = r"""
-- Trigger function: a row whose id names a region that this shard does not host
-- is refused. A trigger and not a CHECK: ordinary triggers do not fire for rows
-- that logical replication brings from their home.
CREATE OR REPLACE FUNCTION refuse_misrouted_row()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF get_byte(uuid_send(NEW.id), 6) >> 4 <> 8 OR NOT EXISTS (
        SELECT FROM hosted_regions WHERE region_code = region_code_of(NEW.id)
    ) THEN
        RAISE EXCEPTION 'row % of % does not belong on this shard', NEW.id, TG_TABLE_NAME USING
            ERRCODE = 'LE031',
            DETAIL = jsonb_build_object(
                'id', NEW.id, 'table', TG_TABLE_NAME, 'region', region_code_of(NEW.id))::text;
    END IF;
    RETURN NEW;
END;
$$;
"""

UPDATE_ENROLLMENT_PROGRESS = r"""
-- Trigger function, once per statement on lesson_progress: adds what changed to
-- the counters of the enrollments concerned, so that completing a lesson costs
-- the same in a course of any length. progress_percentage follows from them.
--
-- An enrollment completes with its last lesson, and is active again when a
-- lesson is un-completed; a lesson that is added to a completed one leaves it so.
CREATE OR REPLACE FUNCTION update_enrollment_progress()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_enrollments uuid[];
    v_totals integer[];
    v_completed integer[];
BEGIN
    -- One branch per event: each has its own transition tables.
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(id), array_agg(total), array_agg(done)
        INTO v_enrollments, v_totals, v_completed
        FROM (
            SELECT enrollment_id AS id, count(*) AS total, count(*) FILTER (WHERE completed) AS done
            FROM new_rows GROUP BY enrollment_id
        ) AS change;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(id), array_agg(-total), array_agg(-done)
        INTO v_enrollments, v_totals, v_completed
        FROM (
            SELECT enrollment_id AS id, count(*) AS total, count(*) FILTER (WHERE completed) AS done
            FROM old_rows GROUP BY enrollment_id
        ) AS change;
    ELSE
        SELECT array_agg(id), array_agg(total), array_agg(done)
        INTO v_enrollments, v_totals, v_completed
        FROM (
            SELECT enrollment_id AS id, sum(total) AS total, sum(done) AS done
            FROM (
                SELECT enrollment_id, 1 AS total, completed::integer AS done FROM new_rows
                UNION ALL
                SELECT enrollment_id, -1, -completed::integer FROM old_rows
            ) AS both_sides
            GROUP BY enrollment_id
            HAVING sum(total) <> 0 OR sum(done) <> 0
        ) AS change;
    END IF;

    IF v_enrollments IS NULL THEN
        RETURN NULL;  -- only time_spent or last_position changed
    END IF;

    -- Locked in the order of their ids: two bulk updates cannot deadlock.
    PERFORM FROM enrollments WHERE id = ANY (v_enrollments) ORDER BY id FOR NO KEY UPDATE;

    UPDATE enrollments AS e
    SET total_lessons = e.total_lessons + change.total,
        completed_lessons = e.completed_lessons + change.done,
        status = CASE
            WHEN e.status = 'active' AND change.done > 0
                AND e.completed_lessons + change.done = e.total_lessons + change.total
                THEN 'completed'
            WHEN e.status = 'completed' AND change.done < 0 THEN 'active'
            ELSE e.status
        END,
        completion_date = CASE
            WHEN e.status = 'active' AND change.done > 0
                AND e.completed_lessons + change.done = e.total_lessons + change.total
                THEN clock_timestamp()
            WHEN e.status = 'completed' AND change.done < 0 THEN NULL
            ELSE e.completion_date
        END
    FROM unnest(v_enrollments, v_totals, v_completed) AS change (id, total, done)
    WHERE e.id = change.id;
    RETURN NULL;
END;
$$;
"""

UPDATE_COURSE_RATING = r"""
-- Trigger function, once per statement on course_reviews: adds what changed to
-- the sum and the number of a course's ratings; courses.rating follows from them.
CREATE OR REPLACE FUNCTION update_course_rating()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_courses uuid[];
    v_sums bigint[];
    v_totals integer[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(id), array_agg(total), array_agg(number)
        INTO v_courses, v_sums, v_totals
        FROM (
            SELECT course_id AS id, sum(rating) AS total, count(*) AS number
            FROM new_rows GROUP BY course_id
        ) AS change;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(id), array_agg(-total), array_agg(-number)
        INTO v_courses, v_sums, v_totals
        FROM (
            SELECT course_id AS id, sum(rating) AS total, count(*) AS number
            FROM old_rows GROUP BY course_id
        ) AS change;
    ELSE
        SELECT array_agg(id), array_agg(total), array_agg(number)
        INTO v_courses, v_sums, v_totals
        FROM (
            SELECT course_id AS id, sum(total) AS total, sum(number) AS number
            FROM (
                SELECT course_id, rating AS total, 1 AS number FROM new_rows
                UNION ALL
                SELECT course_id, -rating, -1 FROM old_rows
            ) AS both_sides
            GROUP BY course_id
            HAVING sum(total) <> 0 OR sum(number) <> 0
        ) AS change;
    END IF;

    IF v_courses IS NULL THEN
        RETURN NULL;  -- only the text changed
    END IF;

    PERFORM FROM courses WHERE id = ANY (v_courses) ORDER BY id FOR NO KEY UPDATE;

    UPDATE courses AS c
    SET rating_sum = c.rating_sum + change.total,
        total_ratings = c.total_ratings + change.number
    FROM unnest(v_courses, v_sums, v_totals) AS change (id, total, number)
    WHERE c.id = change.id;
    RETURN NULL;
END;
$$;
"""

CREATE_USER_WITH_PROFILE = r"""
-- An account, its profile, and the message that MongoDB's preferences follow
-- from, in one transaction. Returns the user's id.
CREATE OR REPLACE FUNCTION create_user_with_profile(
    p_region text,
    p_email text,
    p_password_hash text,
    p_first_name text,
    p_last_name text,
    p_user_type text DEFAULT 'student',
    p_phone_number text DEFAULT NULL,
    p_date_of_birth date DEFAULT NULL,
    p_country text DEFAULT NULL,
    p_subdivision text DEFAULT NULL,
    p_city text DEFAULT NULL,
    p_bio text DEFAULT NULL,
    p_avatar_url text DEFAULT NULL,
    p_locale text DEFAULT 'en',
    p_time_zone text DEFAULT 'UTC',
    p_preferences jsonb DEFAULT '{}'
)
RETURNS uuid
LANGUAGE plpgsql
AS $$
DECLARE
    v_code CONSTANT integer := region_code(p_region);
    v_user_id uuid;
BEGIN
    -- ON CONFLICT waits for a concurrent registration of the same address.
    INSERT INTO users (id, region, email, password_hash, first_name, last_name, user_type)
    VALUES (new_id(v_code), p_region, p_email, p_password_hash, p_first_name, p_last_name,
            p_user_type)
    ON CONFLICT (email) DO NOTHING
    RETURNING id INTO v_user_id;

    IF v_user_id IS NULL THEN
        RAISE EXCEPTION 'email address taken' USING
            ERRCODE = 'LE021', DETAIL = jsonb_build_object('email', p_email)::text;
    END IF;

    INSERT INTO user_profiles (id, user_id, phone_number, date_of_birth, country, subdivision,
                               city, bio, avatar_url, locale, time_zone)
    VALUES (new_id(v_code), v_user_id, p_phone_number, p_date_of_birth, p_country, p_subdivision,
            p_city, p_bio, p_avatar_url, p_locale, p_time_zone);

    INSERT INTO outbox (topic, payload)
    VALUES ('user_registered',
            jsonb_build_object('user_id', v_user_id, 'preferences', p_preferences));

    RETURN v_user_id;
END;
$$;
"""

ENROLL_USER = r"""
-- A place in a course, with a lesson_progress row for every lesson of it. The
-- course's row is locked first, so the last seat is given once. A dropped or
-- expired enrollment is taken up again, with its progress. Returns its id.
CREATE OR REPLACE FUNCTION enroll_user(p_user_id uuid, p_course_id uuid)
RETURNS uuid
LANGUAGE plpgsql
AS $$
DECLARE
    v_code CONSTANT integer := region_code_of(p_user_id);
    v_course courses%ROWTYPE;
    v_enrollment enrollments%ROWTYPE;
    v_taken bigint;
BEGIN
    PERFORM FROM users WHERE id = p_user_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no user %', p_user_id USING
            ERRCODE = 'LE011', DETAIL = jsonb_build_object('user_id', p_user_id)::text;
    END IF;

    SELECT * INTO v_course FROM courses WHERE id = p_course_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no course %', p_course_id USING
            ERRCODE = 'LE012', DETAIL = jsonb_build_object('course_id', p_course_id)::text;
    END IF;
    IF v_course.status <> 'published' THEN
        RAISE EXCEPTION 'course % is %', p_course_id, v_course.status USING
            ERRCODE = 'LE024',
            DETAIL = jsonb_build_object(
                'course_id', p_course_id, 'status', v_course.status)::text;
    END IF;

    SELECT * INTO v_enrollment
    FROM enrollments WHERE user_id = p_user_id AND course_id = p_course_id FOR NO KEY UPDATE;
    IF v_enrollment.status IN ('active', 'completed') THEN
        RAISE EXCEPTION 'user % is enrolled in course %', p_user_id, p_course_id USING
            ERRCODE = 'LE022',
            DETAIL = jsonb_build_object('user_id', p_user_id, 'course_id', p_course_id,
                                        'status', v_enrollment.status)::text;
    END IF;

    IF v_course.max_enrollments IS NOT NULL THEN
        SELECT count(*) INTO v_taken
        FROM enrollments WHERE course_id = p_course_id AND status IN ('active', 'completed');
        IF v_taken >= v_course.max_enrollments THEN
            RAISE EXCEPTION 'course % is full', p_course_id USING
                ERRCODE = 'LE023',
                DETAIL = jsonb_build_object(
                    'course_id', p_course_id, 'seats', v_course.max_enrollments)::text;
        END IF;
    END IF;

    IF v_enrollment.id IS NULL THEN
        INSERT INTO enrollments (id, user_id, course_id)
        VALUES (new_id(v_code), p_user_id, p_course_id)
        RETURNING * INTO v_enrollment;
    ELSE
        UPDATE enrollments
        SET status = 'active', completion_date = NULL, enrollment_date = clock_timestamp()
        WHERE id = v_enrollment.id;
    END IF;

    INSERT INTO lesson_progress (id, enrollment_id, lesson_id)
    SELECT new_id(v_code), v_enrollment.id, lesson.id
    FROM course_lessons AS lesson
    JOIN course_modules AS module ON module.id = lesson.module_id
    WHERE module.course_id = p_course_id AND lesson.archived_at IS NULL
    ON CONFLICT (enrollment_id, lesson_id) DO NOTHING;

    RETURN v_enrollment.id;
END;
$$;
"""

COMPLETE_TRANSACTION = r"""
-- A pending payment becomes a completed one and gets its invoice: 10 % tax, the
-- next number of its region and year. Returns the invoice's id.
CREATE OR REPLACE FUNCTION complete_transaction(
    p_transaction_id uuid, p_gateway_transaction_id text
)
RETURNS uuid
LANGUAGE plpgsql
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

    UPDATE transactions
    SET status = 'completed',
        gateway_transaction_id = p_gateway_transaction_id,
        completed_at = clock_timestamp()
    WHERE id = p_transaction_id;

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

    RETURN v_invoice_id;
END;
$$;
"""

FUNCTIONS = (
    REGION_CODE,
    REGION_CODE_OF,
    NEW_ID,
    UPDATE_MODIFIED_TIMESTAMP,
    REFUSE_MISROUTED_ROW,
    UPDATE_ENROLLMENT_PROGRESS,
    UPDATE_COURSE_RATING,
    CREATE_USER_WITH_PROFILE,
    ENROLL_USER,
    COMPLETE_TRANSACTION,
)

TABLES = (
    "course_categories",
    "users",
    "courses",
    "payment_methods",
    "user_profiles",
    "course_modules",
    "enrollments",
    "transactions",
    "course_lessons",
    "course_reviews",
    "invoices",
    "lesson_progress",
)

COUNTED = {
    "lesson_progress": "update_enrollment_progress",
    "course_reviews": "update_course_rating",
}

TRANSITION_TABLES = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}


def run(statement: str) -> None:
    """Run a statement as it stands: a colon in it starts no parameter."""
    op.execute(sa.text(statement.replace(":", r"\:")))


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '5s'")
    for text in FUNCTIONS:
        run(text)
    for table in TABLES:
        run(
            f"CREATE TRIGGER update_modified_timestamp BEFORE UPDATE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION update_modified_timestamp()"
        )
        run(
            f"CREATE TRIGGER refuse_misrouted_row BEFORE INSERT OR UPDATE OF id ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()"
        )
    for table, function in COUNTED.items():
        for event, transition_tables in TRANSITION_TABLES.items():
            run(
                f"CREATE TRIGGER {function}_{event} AFTER {event.upper()} ON {table} "
                f"REFERENCING {transition_tables} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            )


def downgrade() -> None:
    run("SET LOCAL lock_timeout = '5s'")
    for table, function in COUNTED.items():
        for event in TRANSITION_TABLES:
            run(f"DROP TRIGGER {function}_{event} ON {table}")
    for table in TABLES:
        run(f"DROP TRIGGER refuse_misrouted_row ON {table}")
        run(f"DROP TRIGGER update_modified_timestamp ON {table}")
    for name in (
        "complete_transaction",
        "enroll_user",
        "create_user_with_profile",
        "update_course_rating",
        "update_enrollment_progress",
        "refuse_misrouted_row",
        "update_modified_timestamp",
        "new_id",
        "region_code_of",
        "region_code",
    ):
        run(f"DROP FUNCTION {name}")
