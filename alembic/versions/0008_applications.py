"""All that an application asks of its data.

Revision: 0008
Revises: 0007

Tokens sent by mail, attempts at quizzes, certificates, reports of reviews, what the catalogue is
searched and sorted by, counters for statistics, and the columns and indexes that go with them.
What fills and keeps them is 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from elearning.cluster.migrations.ddl import run

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CHECKS = (
    ("course_lessons", "completion_rule", "completion_rule IN ('viewed', 'watched', 'score')"),
    (
        "course_lessons",
        "completion_threshold_rule",
        "(completion_rule = 'viewed') = (completion_threshold IS NULL)",
    ),
    ("course_lessons", "completion_threshold", "completion_threshold BETWEEN 1 AND 100"),
    ("lesson_progress", "watched", "watched >= 0"),
    ("lesson_progress", "best_score", "best_score BETWEEN 0 AND 100"),
    ("course_reviews", "answered_at", "(answer IS NULL) = (answered_at IS NULL)"),
    ("course_reviews", "hidden_reason", "(hidden_at IS NULL) = (hidden_reason IS NULL)"),
)
"""Table, name and condition: of columns that are new, so that all rows keep them."""

TABLES = (
    "review_reports",
    "quiz_attempts",
    "certificates",
    "course_ratings",
    "course_revenue",
    "course_months",
    "user_tokens",
    "platform_counters",
    "course_search",
    "course_popularity",
)

COLUMNS = (
    ("users", "email_verified_at"),
    ("lesson_progress", "last_accessed"),
    ("lesson_progress", "best_score"),
    ("lesson_progress", "watched"),
    ("course_reviews", "hidden_reason"),
    ("course_reviews", "hidden_at"),
    ("course_reviews", "answered_at"),
    ("course_reviews", "answer"),
    ("course_lessons", "completion_threshold"),
    ("course_lessons", "completion_rule"),
)

INDEXES = (
    (
        "idx_users_name",
        'users (lower(last_name) COLLATE "C", lower(first_name) COLLATE "C", id)',
    ),
    ("idx_users_staff", "users (user_type, created_at, id) WHERE user_type <> 'student'"),
    ("idx_users_status", "users (status, created_at, id) WHERE status <> 'active'"),
    ("idx_users_region", "users (region, created_at, id)"),
    ("idx_users_email_prefix", 'users (email COLLATE "C", id)'),
    ("idx_users_user_type", "users (user_type, status, created_at, id)"),
    (
        "idx_courses_weighted_rating",
        (
            "courses (((rating_sum + 35)::numeric / (total_ratings + 10)), id) "
            "WHERE status = 'published'"
        ),
    ),
    ("idx_courses_published_at", "courses (published_at, id) WHERE status = 'published'"),
    ("idx_courses_category_published", "courses (category_id) WHERE status = 'published'"),
    ("idx_courses_instructor_id", "courses (instructor_id, created_at, id)"),
    (
        "idx_course_categories_parent_id",
        'course_categories (parent_id, category_name COLLATE "C", id)',
    ),
    (
        "idx_course_prerequisites_prerequisite_id",
        "course_prerequisites (prerequisite_id, course_id)",
    ),
    ("idx_enrollments_course_date", "enrollments (course_id, enrollment_date, id)"),
    ("idx_transactions_course_date", "transactions (course_id, created_at, id)"),
    ("idx_course_reviews_course_id", "course_reviews (course_id, created_at, id)"),
    ("idx_course_reviews_rating", "course_reviews (course_id, rating, created_at, id)"),
    (
        "idx_enrollments_active_students",
        "enrollments (course_id, user_id) WHERE status = 'active'",
    ),
)
"""Name, and what it is on: tables that are there, and locked for the other changes anyhow."""

SHORTER = (
    ("idx_courses_instructor_id", "courses (instructor_id)"),
    ("idx_course_categories_parent_id", "course_categories (parent_id)"),
    ("idx_course_prerequisites_prerequisite_id", "course_prerequisites (prerequisite_id)"),
    # Without the id, of rows of one moment.
    ("idx_course_reviews_course_id", "course_reviews (course_id, created_at)"),
)
"""What some of them were before: they gave no order."""


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    # At once, so that no transaction of an application is in between.
    run(
        "LOCK TABLE users, courses, course_categories, course_lessons, course_prerequisites, "
        "enrollments, lesson_progress, transactions, course_reviews IN ACCESS EXCLUSIVE MODE"
    )
    op.create_table(
        "course_popularity",
        sa.Column(
            "course_id",
            sa.Uuid(),
            nullable=False,
            comment="a course; no key, for copies come in any order",
        ),
        sa.Column(
            "enrollments",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="those that are active or completed",
        ),
        sa.Column(
            "completions",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="those that are completed",
        ),
        sa.CheckConstraint("completions >= 0", name=op.f("ck_course_popularity_completions")),
        sa.CheckConstraint("enrollments >= 0", name=op.f("ck_course_popularity_enrollments")),
        sa.PrimaryKeyConstraint("course_id", name=op.f("pk_course_popularity")),
        comment="How popular courses are worldwide; kept by the triggers sum_course_ratings",
    )
    op.create_index(
        "idx_course_popularity_enrollments",
        "course_popularity",
        ["enrollments", "course_id"],
        unique=False,
    )
    op.create_table(
        "course_search",
        sa.Column(
            "course_id",
            sa.Uuid(),
            nullable=False,
            comment="a course; no key, for copies come in any order",
        ),
        sa.Column(
            "title",
            postgresql.TSVECTOR(),
            nullable=False,
            comment="stems of the title, its words, and the rules of its language",
        ),
        sa.Column(
            "document",
            postgresql.TSVECTOR(),
            nullable=False,
            comment="the same (A), and stems of the description (B)",
        ),
        sa.Column(
            "misspelt",
            postgresql.TSVECTOR(),
            nullable=False,
            comment="the words of the title, whole and each with one letter left out",
        ),
        sa.Column("category_id", sa.Uuid(), nullable=True, comment="as in courses"),
        sa.Column("level", sa.String(length=32), nullable=False, comment="as in courses"),
        sa.Column("language", sa.String(length=35), nullable=False, comment="as in courses"),
        sa.Column("price", sa.BigInteger(), nullable=False, comment="as in courses"),
        sa.Column("currency", sa.String(length=3), nullable=False, comment="as in courses"),
        sa.Column(
            "rating", sa.Numeric(precision=3, scale=2), nullable=True, comment="as in courses"
        ),
        sa.PrimaryKeyConstraint("course_id", name=op.f("pk_course_search")),
        comment="What published courses are found by; kept by the trigger keep_course_search",
    )
    op.create_index(
        "idx_course_search_title",
        "course_search",
        ["title"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index("idx_course_search_language", "course_search", ["language"], unique=False)
    op.create_index(
        "idx_course_search_document",
        "course_search",
        ["document"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "idx_course_search_misspelt",
        "course_search",
        ["misspelt"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_table(
        "platform_counters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "name", sa.String(length=32), nullable=False, comment="what is counted, such as users"
        ),
        sa.Column(
            "detail",
            sa.String(length=32),
            server_default="",
            nullable=False,
            comment="which of them, such as student",
        ),
        sa.Column(
            "region_code", sa.SmallInteger(), nullable=False, comment="of the people, 1 to 6"
        ),
        sa.Column(
            "month", sa.Date(), nullable=True, comment="its first day (UTC); NULL: not by month"
        ),
        sa.Column(
            "currency",
            sa.String(length=3),
            server_default="",
            nullable=False,
            comment="ISO 4217, of amounts in minor units",
        ),
        sa.Column("change", sa.BigInteger(), nullable=False, comment="what is added"),
        sa.CheckConstraint("extract(day FROM month) = 1", name=op.f("ck_platform_counters_month")),
        sa.CheckConstraint(
            "region_code BETWEEN 1 AND 6", name=op.f("ck_platform_counters_region_code")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platform_counters")),
        comment="The platform's counters, as changes that add up; see docs/statistics.md",
    )
    op.create_table(
        "user_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                "password_reset",
                "email_verification",
                name="token_purpose",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
            comment="what the token is good for",
        ),
        sa.Column(
            "token_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the secret, which is stored nowhere",
        ),
        sa.Column(
            "email",
            sa.String(length=254),
            nullable=False,
            comment="the address that it was made for",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="from then on it is good for nothing",
        ),
        sa.Column(
            "used_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was used, or replaced by a newer one",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="kept by the trigger update_modified_timestamp",
        ),
        sa.CheckConstraint(
            "get_byte(uuid_send(id), 7) = get_byte(uuid_send(user_id), 7)",
            name=op.f("ck_user_tokens_home"),
        ),
        sa.CheckConstraint("octet_length(token_hash) = 32", name=op.f("ck_user_tokens_token_hash")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_user_tokens_token_hash")),
        comment="Secrets of one use that were sent by mail",
    )
    op.create_index("idx_user_tokens_user_id", "user_tokens", ["user_id", "purpose"], unique=False)
    op.create_index("idx_user_tokens_expires_at", "user_tokens", ["expires_at"], unique=False)
    op.create_table(
        "course_months",
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column(
            "region_code",
            sa.SmallInteger(),
            autoincrement=False,
            nullable=False,
            comment="of the people, 1 to 6",
        ),
        sa.Column(
            "month",
            sa.Date(),
            nullable=False,
            comment="its first day (UTC): when the enrollments began",
        ),
        sa.Column(
            "enrolled",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="all enrollments that began in the month",
        ),
        sa.Column(
            "started",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="those of them with a lesson completed",
        ),
        sa.Column(
            "completed",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="those of them that are completed",
        ),
        sa.Column(
            "ended",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="those of them that are dropped or expired",
        ),
        sa.CheckConstraint(
            "completed BETWEEN 0 AND started", name=op.f("ck_course_months_completed")
        ),
        sa.CheckConstraint("ended BETWEEN 0 AND enrolled", name=op.f("ck_course_months_ended")),
        sa.CheckConstraint("enrolled >= 0", name=op.f("ck_course_months_enrolled")),
        sa.CheckConstraint("extract(day FROM month) = 1", name=op.f("ck_course_months_month")),
        sa.CheckConstraint(
            "region_code BETWEEN 1 AND 6", name=op.f("ck_course_months_region_code")
        ),
        sa.CheckConstraint("started BETWEEN 0 AND enrolled", name=op.f("ck_course_months_started")),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_course_months_course_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("course_id", "region_code", "month", name=op.f("pk_course_months")),
        comment="Enrollments of a course by month, for the people of each region",
    )
    op.create_table(
        "course_ratings",
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column(
            "region_code",
            sa.SmallInteger(),
            autoincrement=False,
            nullable=False,
            comment="of the people, 1 to 6",
        ),
        sa.Column(
            "rating",
            sa.SmallInteger(),
            autoincrement=False,
            nullable=False,
            comment="1 (worst) to 5 (best)",
        ),
        sa.Column(
            "number",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="how many reviews have it; hidden ones do not count",
        ),
        sa.CheckConstraint("number >= 0", name=op.f("ck_course_ratings_number")),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("ck_course_ratings_rating")),
        sa.CheckConstraint(
            "region_code BETWEEN 1 AND 6", name=op.f("ck_course_ratings_region_code")
        ),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_course_ratings_course_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint(
            "course_id", "region_code", "rating", name=op.f("pk_course_ratings")
        ),
        comment="How often each rating was given, in each region; copied like courses",
    )
    op.create_table(
        "course_revenue",
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column(
            "region_code",
            sa.SmallInteger(),
            autoincrement=False,
            nullable=False,
            comment="of the people, 1 to 6",
        ),
        sa.Column(
            "month", sa.Date(), nullable=False, comment="its first day (UTC): when the money came"
        ),
        sa.Column("currency", sa.String(length=3), nullable=False, comment="ISO 4217"),
        sa.Column(
            "payments",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="how many payments were completed",
        ),
        sa.Column(
            "paid",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="in the minor unit of the currency, before tax",
        ),
        sa.Column(
            "refunds",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="how many refunds were completed",
        ),
        sa.Column(
            "refunded",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="in the minor unit of the currency, before tax",
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_course_revenue_currency")),
        sa.CheckConstraint("extract(day FROM month) = 1", name=op.f("ck_course_revenue_month")),
        sa.CheckConstraint("paid >= 0", name=op.f("ck_course_revenue_paid")),
        sa.CheckConstraint("payments >= 0", name=op.f("ck_course_revenue_payments")),
        sa.CheckConstraint("refunded >= 0", name=op.f("ck_course_revenue_refunded")),
        sa.CheckConstraint("refunds >= 0", name=op.f("ck_course_revenue_refunds")),
        sa.CheckConstraint(
            "region_code BETWEEN 1 AND 6", name=op.f("ck_course_revenue_region_code")
        ),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_course_revenue_course_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint(
            "course_id", "region_code", "month", "currency", name=op.f("pk_course_revenue")
        ),
        comment="What was paid for a course by month, by the people of each region",
    )
    op.create_table(
        "certificates",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("enrollment_id", sa.Uuid(), nullable=False),
        sa.Column(
            "code",
            sa.String(length=32),
            nullable=False,
            comment="public; its first sign tells the region",
        ),
        sa.Column(
            "recipient_name",
            sa.String(length=201),
            nullable=False,
            comment="the student's, as it was",
        ),
        sa.Column("course_title", sa.String(length=300), nullable=False, comment="as it was"),
        sa.Column("instructor_name", sa.String(length=201), nullable=False, comment="as it was"),
        sa.Column(
            "grade",
            sa.Numeric(precision=5, scale=2),
            nullable=True,
            comment="mean of the best scores, 0 to 100; NULL: nothing was scored",
        ),
        sa.Column("completion_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "issued_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it began",
        ),
        sa.Column(
            "revoked_at", sa.DateTime(timezone=True), nullable=True, comment="NULL: it is good"
        ),
        sa.Column("revocation_reason", sa.Text(), nullable=True, comment="why it was revoked"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="kept by the trigger update_modified_timestamp",
        ),
        sa.CheckConstraint("code ~ '[^[:space:]]'", name=op.f("ck_certificates_code")),
        sa.CheckConstraint(
            "recipient_name ~ '[^[:space:]]'", name=op.f("ck_certificates_recipient_name")
        ),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (revocation_reason IS NULL)",
            name=op.f("ck_certificates_revocation_reason"),
        ),
        sa.CheckConstraint(
            "get_byte(uuid_send(id), 7) = get_byte(uuid_send(enrollment_id), 7)",
            name=op.f("ck_certificates_home"),
        ),
        sa.CheckConstraint("grade BETWEEN 0 AND 100", name=op.f("ck_certificates_grade")),
        sa.ForeignKeyConstraint(
            ["enrollment_id"],
            ["enrollments.id"],
            name=op.f("fk_certificates_enrollment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificates")),
        sa.UniqueConstraint("code", name=op.f("uq_certificates_code")),
        comment="What students have to show for a course; frozen but for revocation",
    )
    op.create_index(
        "idx_certificates_enrollment_id", "certificates", ["enrollment_id"], unique=False
    )
    op.create_index(
        "uq_certificates_enrollment_id",
        "certificates",
        ["enrollment_id"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "quiz_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("enrollment_id", sa.Uuid(), nullable=False),
        sa.Column("lesson_id", sa.Uuid(), nullable=False),
        sa.Column(
            "number",
            sa.Integer(),
            nullable=False,
            comment="of the student's attempts at it, from 1",
        ),
        sa.Column("score", sa.Numeric(precision=5, scale=2), nullable=False, comment="0 to 100"),
        sa.Column(
            "answers",
            postgresql.JSONB(),
            nullable=True,
            comment="what was answered, as the client tells",
        ),
        sa.Column(
            "submitted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was handed in",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="kept by the trigger update_modified_timestamp",
        ),
        sa.CheckConstraint(
            "get_byte(uuid_send(id), 7) = get_byte(uuid_send(enrollment_id), 7)",
            name=op.f("ck_quiz_attempts_home"),
        ),
        sa.CheckConstraint("number > 0", name=op.f("ck_quiz_attempts_number")),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_quiz_attempts_score")),
        sa.ForeignKeyConstraint(
            ["enrollment_id"],
            ["enrollments.id"],
            name=op.f("fk_quiz_attempts_enrollment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["lesson_id"],
            ["course_lessons.id"],
            name=op.f("fk_quiz_attempts_lesson_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quiz_attempts")),
        sa.UniqueConstraint(
            "enrollment_id",
            "lesson_id",
            "number",
            name=op.f("uq_quiz_attempts_enrollment_id_lesson_id_number"),
        ),
        comment="How students did in quizzes and assignments; rows are only added",
    )
    op.create_index(
        op.f("idx_quiz_attempts_lesson_id"), "quiz_attempts", ["lesson_id"], unique=False
    )
    op.create_table(
        "review_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("reporter_id", sa.Uuid(), nullable=False, comment="a user, of any region"),
        sa.Column(
            "reason",
            sa.Enum(
                "spam",
                "abuse",
                "off_topic",
                "other",
                name="report_reason",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
            comment="what is wrong with the review",
        ),
        sa.Column(
            "report_text",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="in the reporter's words",
        ),
        sa.Column(
            "resolved_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when somebody has looked at it; NULL: it is open",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="kept by the trigger update_modified_timestamp",
        ),
        sa.CheckConstraint(
            "get_byte(uuid_send(id), 7) = get_byte(uuid_send(review_id), 7)",
            name=op.f("ck_review_reports_home"),
        ),
        sa.ForeignKeyConstraint(
            ["review_id"],
            ["course_reviews.id"],
            name=op.f("fk_review_reports_review_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_reports")),
        sa.UniqueConstraint(
            "review_id", "reporter_id", name=op.f("uq_review_reports_review_id_reporter_id")
        ),
        comment="What people find wrong with reviews, beside the review",
    )
    op.create_index(
        "idx_review_reports_created_at",
        "review_reports",
        ["created_at", "id"],
        unique=False,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.add_column(
        "course_lessons",
        sa.Column(
            "completion_rule",
            sa.String(length=32),
            server_default="viewed",
            nullable=False,
            comment="when it is completed",
        ),
    )
    op.add_column(
        "course_lessons",
        sa.Column(
            "completion_threshold",
            sa.Integer(),
            comment="percent of the video, or of the score; NULL: viewing is enough",
        ),
    )
    op.add_column("course_reviews", sa.Column("answer", sa.Text(), comment="the instructor's"))
    op.add_column(
        "course_reviews",
        sa.Column("answered_at", sa.DateTime(timezone=True), comment="when the answer was written"),
    )
    op.add_column(
        "course_reviews",
        sa.Column(
            "hidden_at",
            sa.DateTime(timezone=True),
            comment="from then on it is neither shown nor counted; NULL: it is",
        ),
    )
    op.add_column(
        "course_reviews", sa.Column("hidden_reason", sa.Text(), comment="why it is hidden")
    )
    op.add_column(
        "lesson_progress",
        sa.Column(
            "watched",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="seconds of the video that were played, each counted once, as the player tells",
        ),
    )
    op.add_column(
        "lesson_progress",
        sa.Column(
            "best_score",
            sa.Numeric(precision=5, scale=2),
            comment="of the attempts, 0 to 100; NULL: none yet",
        ),
    )
    op.add_column(
        "lesson_progress",
        sa.Column(
            "last_accessed", sa.DateTime(timezone=True), comment="when it was last worked on"
        ),
    )
    op.add_column(
        "users",
        sa.Column(
            "email_verified_at",
            sa.DateTime(timezone=True),
            comment="when the address was proved to be read; NULL: not yet",
        ),
    )
    for table, name, condition in CHECKS:
        constraint = f"ck_{table}_{name}"
        run(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} CHECK ({condition}) NOT VALID")
        # The columns are new: there is nothing to look at.
        run(
            "-- squawk-ignore constraint-missing-not-valid\n"
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}"
        )
    for name, _ in SHORTER:
        # The tables are locked, and a longer one takes its place.
        run(f"-- squawk-ignore require-concurrent-index-deletion\nDROP INDEX {name}")
    for name, on in INDEXES:
        run(f"-- squawk-ignore require-concurrent-index-creation\nCREATE INDEX {name} ON {on}")


def downgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    for name, _ in INDEXES:
        op.drop_index(name)
    for name, on in SHORTER:
        run(f"-- squawk-ignore require-concurrent-index-creation\nCREATE INDEX {name} ON {on}")
    for table, column in COLUMNS:
        op.drop_column(table, column)
    for table in TABLES:
        op.drop_table(table)
