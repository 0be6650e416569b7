"""The rows that were there before 0003 keep its rules, too.

Revision: 0004
Revises: 0003

Reads each table once, while everybody goes on working with it. The foreign key from courses
to their instructors stays as it is: a copied course has its instructor elsewhere.
"""

from __future__ import annotations

from elearning.cluster.migrations.ddl import run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CONSTRAINTS = {
    "course_categories": (
        "ck_course_categories_category_name",
        "ck_course_categories_slug",
    ),
    "invoice_counters": (
        "ck_invoice_counters_last_number",
        "ck_invoice_counters_region_code",
    ),
    "users": (
        "ck_users_first_name",
        "ck_users_last_name",
    ),
    "courses": (
        "ck_courses_course_code",
        "ck_courses_enrollment_closes_at",
        "ck_courses_home",
        "ck_courses_language",
        "ck_courses_rating",
        "ck_courses_slug",
        "ck_courses_title",
        "ck_courses_total_ratings",
    ),
    "payment_methods": (
        "ck_payment_methods_expiry",
        "ck_payment_methods_home",
    ),
    "user_profiles": ("ck_user_profiles_home",),
    "course_modules": (
        "ck_course_modules_home",
        "ck_course_modules_title",
    ),
    "enrollments": (
        "ck_enrollments_completion_date",
        "ck_enrollments_home",
        "ck_enrollments_progress_percentage",
    ),
    "transactions": (
        "ck_transactions_gateway",
        "ck_transactions_gateway_transaction_id",
        "ck_transactions_home",
        "ck_transactions_refund_of_id",
        "ck_transactions_transaction_status",
        "ck_transactions_completed_at",
        "fk_transactions_payment_method_id",
        "fk_transactions_refund_of_id",
    ),
    "course_lessons": (
        "ck_course_lessons_home",
        "ck_course_lessons_title",
    ),
    "course_reviews": (
        "ck_course_reviews_home",
        "fk_course_reviews_enrollment_id",
    ),
    "invoices": ("ck_invoices_home",),
    "lesson_progress": ("ck_lesson_progress_home",),
}


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    for table, names in CONSTRAINTS.items():
        for name in names:
            run(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Leave them validated: that does no harm, and PostgreSQL has no way back."""
