"""The functions and triggers; the texts are in alembic/routines/0002.

Revision: 0002
Revises: 0001

* update_modified_timestamp keeps updated_at true for every writer;
* refuse_misrouted_row keeps rows off shards that do not host their region;
* update_enrollment_progress counts completed lessons, once per statement;
* update_course_rating sums up the reviews of a course.
"""

from __future__ import annotations

from elearning.cluster.migrations.ddl import create_routine, run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FUNCTIONS = (
    "region_code",
    "region_code_of",
    "new_id",
    "update_modified_timestamp",
    "refuse_misrouted_row",
    "update_enrollment_progress",
    "update_course_rating",
    "create_user_with_profile",
    "enroll_user",
    "complete_transaction",
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


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    for name in FUNCTIONS:
        create_routine(revision, name)
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
    run("SET LOCAL lock_timeout = '2s'")
    for table, function in COUNTED.items():
        for event in TRANSITION_TABLES:
            run(f"DROP TRIGGER {function}_{event} ON {table}")
    for table in TABLES:
        run(f"DROP TRIGGER refuse_misrouted_row ON {table}")
        run(f"DROP TRIGGER update_modified_timestamp ON {table}")
    for name in reversed(FUNCTIONS):
        run(f"DROP FUNCTION {name}")
