"""A shard with 100,000 rows in every table that grows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import make_url

from elearning.cluster.embedded import Topology
from elearning.config import Settings
from elearning.regions import Region
from elearning.testing.databases import migrated_cluster
from tests.snapshots import connect

ROWS = 100_000
COURSES = 1_000
"""How many courses are taken; each by as many people as the others."""

KINDS = {
    "users": "a",
    "user_profiles": "b",
    "courses": "c",
    "course_modules": "d",
    "course_lessons": "e",
    "enrollments": "f",
    "lesson_progress": "1",
    "course_reviews": "2",
    "payment_methods": "3",
    "transactions": "4",
    "invoices": "5",
}
"""A digit for each table, so that the ids of row n differ."""
BIG = {
    *KINDS,
    *("outbox", "claims", "claim_outcomes", "course_seats", "waitlist"),
    *("course_statistics", "course_popularity", "course_search", "course_ratings", "course_months"),
}

LOADING = """
    SET session_replication_role = replica;
    SET synchronous_commit = off;
    CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN (lpad(to_hex(n), 12, '0') || '80038000' || rpad(kind, 12, '0'))::uuid;
"""
ALWAYS = {
    "courses": ("sum_course_ratings", "keep_course_search"),
    "course_statistics": ("sum_course_ratings",),
    "enrollments": tuple(
        f"update_course_statistics_{event}" for event in ("insert", "update", "delete")
    ),
    "course_lessons": ("update_enrolled_lessons",),
    "lesson_progress": tuple(
        f"update_enrollment_progress_{event}" for event in ("insert", "update", "delete")
    ),
}
"""Triggers that fire all the same: row by row they take minutes."""

# {users} is the id of user n, {courses_taken} that of the course that user n takes.
FILL = {
    "users": """
        (id, region, email, first_name, last_name)
        SELECT {users}, 'europe', 'user' || n || '@example.com', 'Ada', 'Obi'
    """,
    "user_profiles": "(id, user_id) SELECT {user_profiles}, {users}",
    "courses": """
        (id, course_code, slug, title, instructor_id, currency, language, status, published_at,
         price, max_enrollments, rating_sum, total_ratings)
        SELECT {courses}, n, n, 'C', {users}, 'EUR', 'en', 'published', now(), 4900, 1000, 400, 100
    """,
    "course_modules": """
        (id, course_id, position, title) SELECT {course_modules}, {courses}, 1, 'M'
    """,
    "course_lessons": """
        (id, module_id, position, title, lesson_type)
        SELECT {course_lessons}, {course_modules}, 1, 'L', 'video'
    """,
    "enrollments": """
        (id, user_id, course_id, total_lessons, claim_id)
        SELECT {enrollments}, {users}, {courses_taken}, 1, {enrollments}
    """,
    "lesson_progress": """
        (id, enrollment_id, lesson_id)
        SELECT {lesson_progress}, {enrollments}, {course_lessons_taken}
    """,
    "course_reviews": """
        (id, enrollment_id, course_id, rating)
        SELECT {course_reviews}, {enrollments}, {courses_taken}, 4
    """,
    "payment_methods": """
        (id, user_id, method_type) SELECT {payment_methods}, {users}, 'paypal'
    """,
    "transactions": """
        (id, user_id, course_id, payment_method_id, amount, currency, status, gateway,
         gateway_transaction_id, completed_at)
        SELECT {transactions}, {users}, {courses_taken}, {payment_methods}, 4900, 'EUR',
               'completed', 'simulated', 'g-' || n, now()
    """,
    "invoices": """
        (id, transaction_id, invoice_number, due_date, subtotal, tax, total, currency, status)
        SELECT {invoices}, {transactions}, 'EU-2025-' || n, current_date, 4900, 490, 5390, 'EUR',
               'paid'
    """,
    "outbox": """
        (topic, payload) SELECT 'user_registered',
            jsonb_build_object('user_id', {users}, 'preferences', '{{}}'::jsonb)
    """,
    # Ids of enrollments serve as ids of claims.
    "claims": """
        (id, kind, fact, holder_id, status, settled_at)
        SELECT {enrollments}, 'seat', uuid_send({courses_taken}), {users}, 'confirmed', now()
    """,
    "claim_outcomes": """
        (claim_id, outcome, kind, fact, holder_id)
        SELECT {enrollments}, 'used', 'seat', uuid_send({courses_taken}), {users}
    """,
    "course_seats": "(course_id, taken) SELECT {courses}, 100",
    "waitlist": """
        (course_id, user_id, status) SELECT {courses_taken}, {users}, 'left'
    """,
    "course_statistics": """
        (course_id, region_code, enrollments, rating_sum, total_ratings)
        SELECT {courses}, 3, 100, 400, 100
    """,
    "course_popularity": "(course_id, enrollments) SELECT {courses}, 100",
    "course_search": """
        (course_id, title, document, misspelt, level, language, price, currency, rating)
        SELECT {courses}, {words}, {words}, misspellings('course' || n % 1000),
            'beginner', 'en', 4900, 'EUR', 4
    """,
    "course_ratings": """
        (course_id, region_code, rating, number) SELECT {courses}, 3, 4, 100
    """,
    "course_months": """
        (course_id, region_code, month, enrolled) SELECT {courses}, 3, month_of(now()), 100
    """,
}


# A hundred courses have each word.
_WORDS = "format('''course%s'':1A ''/english''', n % 1000)::tsvector"


def row_id(table: str, number: int) -> UUID:
    """Return the id of row n of a table."""
    return UUID(f"{number:012x}80038000{KINDS[table]:0<12}")


def taken_by(number: int) -> int:
    """Return the number of the course that user n takes."""
    return 1 + number % COURSES


@contextmanager
def crowded_shard() -> Iterator[Settings]:
    """Run a shard of its own, which is full, and explains each statement to whoever runs it."""
    own = Topology(shards={"eu": tuple(Region)}, replicas=0)
    ids = {table: f"pg_temp.id('{kind}', n)" for table, kind in KINDS.items()} | {
        f"{table}_taken": f"pg_temp.id('{kind}', 1 + n % {COURSES})"
        for table, kind in KINDS.items()
    }
    ids["words"] = _WORDS
    with migrated_cluster(topology=own) as (cluster, settings):
        shard = settings.shard("eu")
        with connect(make_url(cluster.url("eu-primary", "postgres"))) as root:
            root.execute(LOADING)
            for table, triggers in ALWAYS.items():
                for trigger in triggers:
                    root.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
            for table, rows in FILL.items():
                root.execute(
                    f"INSERT INTO {table} {rows.format(**ids)} FROM generate_series(1, {ROWS}) AS n"
                )
            for table, triggers in ALWAYS.items():
                for trigger in triggers:
                    root.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
            root.execute("ANALYZE")
            for setting in (
                "session_preload_libraries = 'auto_explain'",
                "auto_explain.log_min_duration = 0",
                "auto_explain.log_nested_statements = on",
                "auto_explain.log_format = 'json'",
                "client_min_messages = 'log'",
            ):
                root.execute(f"ALTER DATABASE {shard.primary.database} SET {setting}")
        yield settings
