"""Rules that the tables keep by themselves, and the columns that they need.

Revision: 0003
Revises: 0002

Constraints are added NOT VALID, which holds for every new row and needs a lock for a
moment only; 0004 looks at the rows that are there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from elearning.cluster.migrations.ddl import run

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHECKS = (
    ("course_categories", "ck_course_categories_category_name", "category_name ~ '[^[:space:]]'"),
    ("course_categories", "ck_course_categories_slug", "slug ~ '[^[:space:]]'"),
    ("invoice_counters", "ck_invoice_counters_last_number", "last_number >= 0"),
    ("invoice_counters", "ck_invoice_counters_region_code", "region_code BETWEEN 1 AND 6"),
    ("users", "ck_users_first_name", "first_name ~ '[^[:space:]]'"),
    ("users", "ck_users_last_name", "last_name ~ '[^[:space:]]'"),
    ("courses", "ck_courses_course_code", "course_code ~ '[^[:space:]]'"),
    ("courses", "ck_courses_enrollment_closes_at", "enrollment_closes_at > enrollment_opens_at"),
    (
        "courses",
        "ck_courses_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(instructor_id), 7)",
    ),
    ("courses", "ck_courses_language", "language ~ '[^[:space:]]'"),
    ("courses", "ck_courses_rating", "rating BETWEEN 1 AND 5"),
    ("courses", "ck_courses_slug", "slug ~ '[^[:space:]]'"),
    ("courses", "ck_courses_title", "title ~ '[^[:space:]]'"),
    ("courses", "ck_courses_total_ratings", "total_ratings >= 0"),
    (
        "payment_methods",
        "ck_payment_methods_expiry",
        "(expiry_month IS NULL) = (expiry_year IS NULL)",
    ),
    (
        "payment_methods",
        "ck_payment_methods_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(user_id), 7)",
    ),
    (
        "user_profiles",
        "ck_user_profiles_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(user_id), 7)",
    ),
    (
        "course_modules",
        "ck_course_modules_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(course_id), 7)",
    ),
    ("course_modules", "ck_course_modules_title", "title ~ '[^[:space:]]'"),
    ("enrollments", "ck_enrollments_completion_date", "completion_date >= enrollment_date"),
    (
        "enrollments",
        "ck_enrollments_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(user_id), 7)",
    ),
    ("enrollments", "ck_enrollments_progress_percentage", "progress_percentage BETWEEN 0 AND 100"),
    ("transactions", "ck_transactions_gateway", "gateway ~ '[^[:space:]]'"),
    (
        "transactions",
        "ck_transactions_gateway_transaction_id",
        "gateway_transaction_id ~ '[^[:space:]]'",
    ),
    (
        "transactions",
        "ck_transactions_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(user_id), 7)",
    ),
    (
        "transactions",
        "ck_transactions_refund_of_id",
        "(transaction_type = 'refund') = (refund_of_id IS NOT NULL)",
    ),
    (
        "course_lessons",
        "ck_course_lessons_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(module_id), 7)",
    ),
    ("course_lessons", "ck_course_lessons_title", "title ~ '[^[:space:]]'"),
    (
        "course_reviews",
        "ck_course_reviews_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(enrollment_id), 7)",
    ),
    (
        "invoices",
        "ck_invoices_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(transaction_id), 7)",
    ),
    (
        "lesson_progress",
        "ck_lesson_progress_home",
        "get_byte(uuid_send(id), 7) = get_byte(uuid_send(enrollment_id), 7)",
    ),
    # Replaces one that named the state "refunded", which is no more: a refund is a row of its own.
    (
        "transactions",
        "ck_transactions_transaction_status",
        "status IN ('pending', 'completed', 'failed')",
    ),
    (
        "transactions",
        "ck_transactions_completed_at",
        "status <> 'completed' OR (completed_at IS NOT NULL AND gateway_transaction_id IS NOT NULL)",
    ),
)
"""Table, constraint, condition."""

REPLACED = {
    "ck_transactions_transaction_status": "status IN ('pending', 'completed', 'failed', 'refunded')",
    "ck_transactions_completed_at": "status NOT IN ('completed', 'refunded') OR (completed_at IS NOT NULL AND gateway_transaction_id IS NOT NULL)",
}
"""What two of them were before."""

INDEXES = (
    "CREATE INDEX idx_transactions_refund_of_id ON transactions (refund_of_id)",
    # What the foreign keys of two columns refer to.
    "CREATE UNIQUE INDEX uq_enrollments_id_course_id ON enrollments (id, course_id)",
    "CREATE UNIQUE INDEX uq_payment_methods_id_user_id ON payment_methods (id, user_id)",
)

DROPPED = (
    *(("transactions", name) for name in REPLACED),
    ("course_reviews", "fk_course_reviews_enrollment_id"),
    ("transactions", "fk_transactions_payment_method_id"),
)

COMMENTS = (
    ("course_categories", "parent_id", None, "NULL: a root of the tree"),
    ("course_categories", "slug", None, "the name as a part of a URL"),
    ("hosted_regions", "region_code", None, "byte 7 of the ids"),
    ("invoice_counters", "region_code", None, "byte 7 of the ids"),
    ("invoice_counters", "last_number", None, "0: none yet"),
    ("outbox", "topic", None, "what happened; names the handler"),
    ("outbox", "payload", None, "what the handler is given"),
    ("users", "region", None, "the region in the id, by name"),
    ("users", "user_type", None, "what the account may do"),
    ("courses", "course_code", None, "such as PY-101"),
    ("courses", "slug", None, "the title as a part of a URL"),
    ("courses", "instructor_id", None, "a user of the course's home region"),
    ("courses", "level", None, "what the course expects of its students"),
    ("courses", "max_enrollments", "NULL: no limit", "seats; NULL: no limit"),
    (
        "courses",
        "enrollment_opens_at",
        None,
        "enrollments are taken from then on; NULL: from publication",
    ),
    (
        "courses",
        "enrollment_closes_at",
        None,
        "enrollments are taken until then; NULL: while it is published",
    ),
    ("courses", "total_ratings", None, "how many reviews there are"),
    ("payment_methods", "brand", None, "such as Visa"),
    ("payment_methods", "last_four", None, "digits of the card"),
    ("payment_methods", "is_default", None, "at most one of a user's is"),
    ("enrollments", "enrollment_date", None, "when the place was taken, or taken up again"),
    ("enrollments", "completed_lessons", None, "of those that total_lessons counts"),
    ("enrollments", "progress_percentage", None, "0 to 100, of the lessons that are not archived"),
    ("enrollments", "last_accessed", None, "when progress was last made"),
    ("transactions", "payment_method_id", None, "one of the user's; NULL: none, or deleted since"),
    (
        "transactions",
        "refund_of_id",
        None,
        "the completed payment that this refund takes back, in whole or in part",
    ),
    ("transactions", "transaction_type", None, "what the payment is for"),
    ("transactions", "gateway", None, "who takes the money, by name"),
    (
        "transactions",
        "gateway_transaction_id",
        None,
        "the gateway's id of the payment, once it is completed",
    ),
    ("course_lessons", "lesson_type", None, "what a student does in it"),
    (
        "course_lessons",
        "archived_at",
        None,
        "from then on it counts in no progress; NULL: it counts",
    ),
    (
        "invoices",
        "subtotal",
        "this and the next three: minor unit of the currency",
        "minor unit of the currency, before tax and discount",
    ),
    ("invoices", "tax", None, "minor unit"),
    ("invoices", "discount", None, "minor unit"),
    ("invoices", "total", None, "minor unit; what is paid: subtotal + tax - discount"),
    (
        "lesson_progress",
        "archived",
        None,
        "whether its lesson is archived, so that it does not count; kept by the trigger update_enrolled_lessons",
    ),
)
"""Table, column, the comment before, the comment now."""


LOCKED = (
    "course_categories",
    "users",
    "user_profiles",
    "courses",
    "course_modules",
    "course_lessons",
    "enrollments",
    "lesson_progress",
    "course_reviews",
    "payment_methods",
    "transactions",
    "invoices",
    "invoice_counters",
)
"""In the order in which applications lock rows."""


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    # All at once, so that no transaction of an application is in between.
    run(f"LOCK TABLE {', '.join(LOCKED)} IN ACCESS EXCLUSIVE MODE")
    op.add_column("courses", sa.Column("enrollment_opens_at", sa.DateTime(timezone=True)))
    op.add_column("courses", sa.Column("enrollment_closes_at", sa.DateTime(timezone=True)))
    op.add_column(
        "lesson_progress",
        sa.Column("archived", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column("transactions", sa.Column("refund_of_id", sa.Uuid()))
    for statement in INDEXES:
        # No release has filled these tables: a moment's lock does no harm. docs/migrations.md
        # tells how an index is built on tables that are in use.
        run(f"-- squawk-ignore require-concurrent-index-creation\n{statement}")

    for table, name in DROPPED:
        # What takes its place is added in the same transaction.
        run(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE {table} DROP CONSTRAINT {name}")
    for table, name, condition in CHECKS:
        run(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
    run(
        "ALTER TABLE course_reviews ADD CONSTRAINT fk_course_reviews_enrollment_id "
        "FOREIGN KEY (enrollment_id, course_id) REFERENCES enrollments (id, course_id) "
        "ON DELETE CASCADE NOT VALID"
    )
    run(
        "ALTER TABLE transactions ADD CONSTRAINT fk_transactions_payment_method_id "
        "FOREIGN KEY (payment_method_id, user_id) REFERENCES payment_methods (id, user_id) "
        "ON DELETE SET NULL (payment_method_id) NOT VALID"
    )
    run(
        "ALTER TABLE transactions ADD CONSTRAINT fk_transactions_refund_of_id "
        "FOREIGN KEY (refund_of_id) REFERENCES transactions (id) ON DELETE RESTRICT NOT VALID"
    )

    for table, column, _, comment in COMMENTS:
        op.alter_column(table, column, comment=comment)
    op.create_table_comment("transactions", "Payments and refunds, on the user's home shard")


def downgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    run(f"LOCK TABLE {', '.join(LOCKED)} IN ACCESS EXCLUSIVE MODE")
    run(
        "DO $$ BEGIN IF EXISTS (SELECT FROM transactions WHERE refund_of_id IS NOT NULL) THEN "
        "RAISE EXCEPTION 'there are refunds, and no place for what they refund before 0003'; "
        "END IF; END $$"
    )
    op.create_table_comment("transactions", "Payments, on the user's home shard")
    for table, column, comment, _ in COMMENTS:
        op.alter_column(table, column, comment=comment)

    run("ALTER TABLE transactions DROP CONSTRAINT fk_transactions_refund_of_id")
    run("ALTER TABLE transactions DROP CONSTRAINT fk_transactions_payment_method_id")
    run(
        "ALTER TABLE transactions ADD CONSTRAINT fk_transactions_payment_method_id "
        "FOREIGN KEY (payment_method_id) REFERENCES payment_methods (id) ON DELETE SET NULL"
    )
    run("ALTER TABLE course_reviews DROP CONSTRAINT fk_course_reviews_enrollment_id")
    run(
        "ALTER TABLE course_reviews ADD CONSTRAINT fk_course_reviews_enrollment_id "
        "FOREIGN KEY (enrollment_id) REFERENCES enrollments (id) ON DELETE CASCADE"
    )
    for table, name, _ in CHECKS:
        run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, condition in REPLACED.items():
        run(f"ALTER TABLE transactions ADD CONSTRAINT {name} CHECK ({condition})")

    op.drop_index("uq_payment_methods_id_user_id", "payment_methods")
    op.drop_index("uq_enrollments_id_course_id", "enrollments")
    op.drop_index("idx_transactions_refund_of_id", "transactions")
    op.drop_column("transactions", "refund_of_id")
    op.drop_column("lesson_progress", "archived")
    op.drop_column("courses", "enrollment_closes_at")
    op.drop_column("courses", "enrollment_opens_at")
