"""The twelve tables of the platform and the bookkeeping of a shard.

Revision: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.create_table(
        "course_categories",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("category_name", sa.String(length=100), nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
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
        sa.Column(
            "version", sa.Integer(), server_default="1", nullable=False, comment="counts the edits"
        ),
        sa.CheckConstraint("parent_id <> id", name=op.f("ck_course_categories_parent")),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["course_categories.id"],
            name=op.f("fk_course_categories_parent_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course_categories")),
        comment="The tree of subjects",
    )
    op.create_index(
        op.f("idx_course_categories_parent_id"), "course_categories", ["parent_id"], unique=False
    )
    op.create_index(
        "uq_course_categories_category_name",
        "course_categories",
        [sa.literal_column("(get_byte(uuid_send(id), 7))"), "category_name"],
        unique=True,
    )
    op.create_index(
        "uq_course_categories_slug",
        "course_categories",
        [sa.literal_column("(get_byte(uuid_send(id), 7))"), "slug"],
        unique=True,
    )
    op.create_table(
        "hosted_regions",
        sa.Column("region_code", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "region_code BETWEEN 1 AND 6", name=op.f("ck_hosted_regions_region_code")
        ),
        sa.PrimaryKeyConstraint("region_code", name=op.f("pk_hosted_regions")),
        comment="The regions that this shard hosts, written from the settings",
    )
    op.create_table(
        "invoice_counters",
        sa.Column("region_code", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("region_code", "year", name=op.f("pk_invoice_counters")),
        comment="The last invoice number of a region and year",
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "problem",
            sa.Text(),
            nullable=True,
            comment="why it cannot be delivered; such a message is set aside",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        comment="What MongoDB has yet to learn, in order; a row goes when it is delivered",
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "region",
            sa.Enum(
                "north_america",
                "south_america",
                "europe",
                "africa",
                "asia",
                "oceania",
                name="region",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "email", sa.String(length=254), nullable=False, comment="normalized: no ASCII capitals"
        ),
        sa.Column(
            "password_hash",
            sa.Text(),
            nullable=True,
            comment="PHC string; NULL: no login by password",
        ),
        sa.Column("first_name", sa.String(length=100), nullable=False),
        sa.Column("last_name", sa.String(length=100), nullable=False),
        sa.Column(
            "user_type",
            sa.Enum(
                "student",
                "instructor",
                "admin",
                name="user_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="student",
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "inactive",
                "suspended",
                name="user_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="active",
            nullable=False,
        ),
        sa.Column("last_login", sa.DateTime(timezone=True), nullable=True),
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
            "email ~ '^[^@[:space:]A-Z]+@[^@[:space:]A-Z]+$'", name=op.f("ck_users_email")
        ),
        sa.CheckConstraint(
            "get_byte(uuid_send(id), 7) = CASE region WHEN 'north_america' THEN 1 WHEN 'south_america' THEN 2 WHEN 'europe' THEN 3 WHEN 'africa' THEN 4 WHEN 'asia' THEN 5 WHEN 'oceania' THEN 6 END",
            name=op.f("ck_users_region_of_id"),
        ),
        sa.CheckConstraint("password_hash ~ '^[$]'", name=op.f("ck_users_password_is_hashed")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        comment="Accounts, on the home shard of their region only",
    )
    op.create_index("idx_users_created_at", "users", ["created_at", "id"], unique=False)
    op.create_index("idx_users_email", "users", ["email"], unique=True)
    op.create_table(
        "courses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("course_code", sa.String(length=50), nullable=False),
        sa.Column("slug", sa.String(length=150), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("instructor_id", sa.Uuid(), nullable=False),
        sa.Column("category_id", sa.Uuid(), nullable=True),
        sa.Column(
            "level",
            sa.Enum(
                "beginner",
                "intermediate",
                "advanced",
                name="course_level",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="beginner",
            nullable=False,
        ),
        sa.Column(
            "price",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="in the minor unit of the currency, before tax",
        ),
        sa.Column("currency", sa.String(length=3), nullable=False, comment="ISO 4217"),
        sa.Column("duration_hours", sa.Numeric(precision=6, scale=2), nullable=True),
        sa.Column("language", sa.String(length=35), nullable=False, comment="BCP 47 tag"),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "published",
                "archived",
                name="course_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="draft",
            nullable=False,
        ),
        sa.Column("max_enrollments", sa.Integer(), nullable=True, comment="NULL: no limit"),
        sa.Column(
            "rating_sum",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="kept, with total_ratings, by the trigger update_course_rating",
        ),
        sa.Column("total_ratings", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "rating",
            sa.Numeric(precision=3, scale=2),
            sa.Computed("round(rating_sum::numeric / NULLIF(total_ratings, 0), 2)", persisted=True),
            nullable=True,
            comment="mean of the reviews; NULL: none yet",
        ),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
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
        sa.Column(
            "version", sa.Integer(), server_default="1", nullable=False, comment="counts the edits"
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_courses_currency")),
        sa.CheckConstraint(
            "status <> 'archived' OR archived_at IS NOT NULL", name=op.f("ck_courses_archived_at")
        ),
        sa.CheckConstraint(
            "status <> 'published' OR published_at IS NOT NULL",
            name=op.f("ck_courses_published_at"),
        ),
        sa.CheckConstraint("duration_hours >= 0", name=op.f("ck_courses_duration_hours")),
        sa.CheckConstraint("max_enrollments > 0", name=op.f("ck_courses_max_enrollments")),
        sa.CheckConstraint("price >= 0", name=op.f("ck_courses_price")),
        sa.ForeignKeyConstraint(
            ["category_id"],
            ["course_categories.id"],
            name=op.f("fk_courses_category_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_courses")),
        comment="Courses; archived, never deleted",
    )
    op.create_index(op.f("idx_courses_category_id"), "courses", ["category_id"], unique=False)
    op.create_index("idx_courses_created_at", "courses", ["created_at", "id"], unique=False)
    op.create_index("idx_courses_instructor_id", "courses", ["instructor_id"], unique=False)
    op.create_index(
        "idx_courses_rating",
        "courses",
        [sa.literal_column("rating DESC NULLS LAST"), "id"],
        unique=False,
    )
    op.create_index(
        "uq_courses_course_code",
        "courses",
        [sa.literal_column("(get_byte(uuid_send(id), 7))"), "course_code"],
        unique=True,
    )
    op.create_index(
        "uq_courses_slug",
        "courses",
        [sa.literal_column("(get_byte(uuid_send(id), 7))"), "slug"],
        unique=True,
    )
    op.create_table(
        "payment_methods",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "method_type",
            sa.Enum(
                "credit_card",
                "debit_card",
                "paypal",
                "bank_transfer",
                name="payment_method_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("brand", sa.String(length=50), nullable=True),
        sa.Column("last_four", sa.String(length=4), nullable=True),
        sa.Column("expiry_month", sa.SmallInteger(), nullable=True),
        sa.Column("expiry_year", sa.SmallInteger(), nullable=True),
        sa.Column("billing_address", sa.Text(), nullable=True),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
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
        sa.CheckConstraint("last_four ~ '^[0-9]{4}$'", name=op.f("ck_payment_methods_last_four")),
        sa.CheckConstraint(
            "expiry_month BETWEEN 1 AND 12", name=op.f("ck_payment_methods_expiry_month")
        ),
        sa.CheckConstraint(
            "expiry_year BETWEEN 2000 AND 2200", name=op.f("ck_payment_methods_expiry_year")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_payment_methods_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_methods")),
        comment="How a user pays; one default each",
    )
    op.create_index(
        op.f("idx_payment_methods_user_id"), "payment_methods", ["user_id"], unique=False
    )
    op.create_index(
        "uq_payment_methods_default",
        "payment_methods",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "user_profiles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("phone_number", sa.String(length=32), nullable=True),
        sa.Column("date_of_birth", sa.Date(), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True, comment="ISO 3166-1 alpha-2"),
        sa.Column(
            "subdivision",
            sa.String(length=100),
            nullable=True,
            comment="state, province or region inside the country",
        ),
        sa.Column("city", sa.String(length=100), nullable=True),
        sa.Column("bio", sa.Text(), nullable=True),
        sa.Column("avatar_url", sa.Text(), nullable=True),
        sa.Column(
            "locale",
            sa.String(length=35),
            server_default="en",
            nullable=False,
            comment="BCP 47 tag",
        ),
        sa.Column(
            "time_zone",
            sa.String(length=64),
            server_default="UTC",
            nullable=False,
            comment="name of the IANA database",
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
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("ck_user_profiles_country")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_profiles_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_profiles")),
        sa.UniqueConstraint("user_id", name=op.f("uq_user_profiles_user_id")),
        comment="What an account tells about the person",
    )
    op.create_table(
        "course_modules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="order in the course, from 1"),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
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
        sa.Column(
            "version", sa.Integer(), server_default="1", nullable=False, comment="counts the edits"
        ),
        sa.CheckConstraint("position > 0", name=op.f("ck_course_modules_position")),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_course_modules_course_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course_modules")),
        sa.UniqueConstraint(
            "course_id", "position", name=op.f("uq_course_modules_course_id_position")
        ),
        comment="The chapters of a course",
    )
    op.create_table(
        "enrollments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "completed",
                "dropped",
                "expired",
                name="enrollment_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="active",
            nullable=False,
        ),
        sa.Column(
            "enrollment_date",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("completion_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "total_lessons",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="kept, with completed_lessons, by the triggers update_enrollment_progress",
        ),
        sa.Column("completed_lessons", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "progress_percentage",
            sa.Numeric(precision=5, scale=2),
            sa.Computed(
                "CASE WHEN total_lessons = 0 THEN 0 WHEN completed_lessons = total_lessons THEN 100 ELSE LEAST(round(100.0 * completed_lessons / total_lessons, 2), 99.99) END",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.Column(
            "certificate_issued", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("certificate_url", sa.Text(), nullable=True),
        sa.Column("last_accessed", sa.DateTime(timezone=True), nullable=True),
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
            "status <> 'completed' OR completion_date IS NOT NULL",
            name=op.f("ck_enrollments_completion"),
        ),
        sa.CheckConstraint(
            "completed_lessons BETWEEN 0 AND total_lessons",
            name=op.f("ck_enrollments_completed_lessons"),
        ),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_enrollments_course_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_enrollments_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrollments")),
        sa.UniqueConstraint("user_id", "course_id", name=op.f("uq_enrollments_user_id_course_id")),
        comment="Who takes which course, on the user's home shard",
    )
    op.create_index(
        "idx_enrollments_course_id", "enrollments", ["course_id", "status"], unique=False
    )
    op.create_index(
        "idx_enrollments_enrollment_date", "enrollments", ["enrollment_date", "id"], unique=False
    )
    op.create_table(
        "transactions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("course_id", sa.Uuid(), nullable=True),
        sa.Column("payment_method_id", sa.Uuid(), nullable=True),
        sa.Column(
            "amount",
            sa.BigInteger(),
            nullable=False,
            comment="in the minor unit of the currency, before tax",
        ),
        sa.Column("currency", sa.String(length=3), nullable=False, comment="ISO 4217"),
        sa.Column(
            "transaction_type",
            sa.Enum(
                "purchase",
                "refund",
                "subscription",
                name="transaction_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="purchase",
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "completed",
                "failed",
                "refunded",
                name="transaction_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="pending",
            nullable=False,
        ),
        sa.Column("gateway", sa.String(length=50), nullable=False),
        sa.Column("gateway_transaction_id", sa.String(length=200), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
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
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_transactions_currency")),
        sa.CheckConstraint(
            "status NOT IN ('completed', 'refunded') OR (completed_at IS NOT NULL AND gateway_transaction_id IS NOT NULL)",
            name=op.f("ck_transactions_completed_at"),
        ),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_transactions_amount")),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_transactions_course_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["payment_method_id"],
            ["payment_methods.id"],
            name=op.f("fk_transactions_payment_method_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_transactions_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactions")),
        comment="Payments, on the user's home shard",
    )
    op.create_index(op.f("idx_transactions_course_id"), "transactions", ["course_id"], unique=False)
    op.create_index(
        "idx_transactions_created_at", "transactions", ["created_at", "id"], unique=False
    )
    op.create_index(
        op.f("idx_transactions_payment_method_id"),
        "transactions",
        ["payment_method_id"],
        unique=False,
    )
    op.create_index(
        "idx_transactions_user_id", "transactions", ["user_id", "created_at"], unique=False
    )
    op.create_index(
        "uq_transactions_gateway_transaction_id",
        "transactions",
        ["gateway", "gateway_transaction_id"],
        unique=True,
    )
    op.create_table(
        "course_lessons",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("module_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="order in the module, from 1"),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column(
            "lesson_type",
            sa.Enum(
                "video",
                "reading",
                "quiz",
                "assignment",
                name="lesson_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "content_id",
            sa.Uuid(),
            nullable=True,
            comment="course_content.content_id in MongoDB; NULL: no content yet",
        ),
        sa.Column("duration_minutes", sa.Integer(), nullable=True),
        sa.Column(
            "is_preview",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="open to people who are not enrolled",
        ),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
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
        sa.Column(
            "version", sa.Integer(), server_default="1", nullable=False, comment="counts the edits"
        ),
        sa.CheckConstraint(
            "duration_minutes >= 0", name=op.f("ck_course_lessons_duration_minutes")
        ),
        sa.CheckConstraint("position > 0", name=op.f("ck_course_lessons_position")),
        sa.ForeignKeyConstraint(
            ["module_id"],
            ["course_modules.id"],
            name=op.f("fk_course_lessons_module_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course_lessons")),
        sa.UniqueConstraint(
            "module_id", "position", name=op.f("uq_course_lessons_module_id_position")
        ),
        comment="The lessons of a module",
    )
    op.create_index(
        op.f("idx_course_lessons_content_id"), "course_lessons", ["content_id"], unique=False
    )
    op.create_table(
        "course_reviews",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("enrollment_id", sa.Uuid(), nullable=False),
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column("rating", sa.SmallInteger(), nullable=False, comment="1 (worst) to 5 (best)"),
        sa.Column("review_text", sa.Text(), server_default="", nullable=False),
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
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("ck_course_reviews_rating")),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_course_reviews_course_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["enrollment_id"],
            ["enrollments.id"],
            name=op.f("fk_course_reviews_enrollment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course_reviews")),
        sa.UniqueConstraint("enrollment_id", name=op.f("uq_course_reviews_enrollment_id")),
        comment="What students think of a course",
    )
    op.create_index(
        "idx_course_reviews_course_id", "course_reviews", ["course_id", "created_at"], unique=False
    )
    op.create_table(
        "invoices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transaction_id", sa.Uuid(), nullable=False),
        sa.Column(
            "invoice_number", sa.String(length=32), nullable=False, comment="such as EU-2026-000001"
        ),
        sa.Column(
            "invoice_date", sa.Date(), server_default=sa.text("CURRENT_DATE"), nullable=False
        ),
        sa.Column("due_date", sa.Date(), nullable=False),
        sa.Column(
            "subtotal",
            sa.BigInteger(),
            nullable=False,
            comment="this and the next three: minor unit of the currency",
        ),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False, comment="ISO 4217"),
        sa.Column(
            "status",
            sa.Enum(
                "unpaid",
                "paid",
                "overdue",
                "cancelled",
                name="invoice_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="unpaid",
            nullable=False,
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
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_invoices_currency")),
        sa.CheckConstraint("due_date >= invoice_date", name=op.f("ck_invoices_due_date")),
        sa.CheckConstraint(
            "subtotal >= 0 AND tax >= 0 AND discount >= 0", name=op.f("ck_invoices_amounts")
        ),
        sa.CheckConstraint(
            "total = subtotal + tax - discount AND total >= 0", name=op.f("ck_invoices_total")
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["transactions.id"],
            name=op.f("fk_invoices_transaction_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("transaction_id", name=op.f("uq_invoices_transaction_id")),
        comment="Invoices, on the user's home shard",
    )
    op.create_index("idx_invoices_invoice_date", "invoices", ["invoice_date", "id"], unique=False)
    op.create_index("uq_invoices_invoice_number", "invoices", ["invoice_number"], unique=True)
    op.create_table(
        "lesson_progress",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("enrollment_id", sa.Uuid(), nullable=False),
        sa.Column("lesson_id", sa.Uuid(), nullable=False),
        sa.Column("completed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("completion_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "time_spent", sa.Integer(), server_default="0", nullable=False, comment="seconds"
        ),
        sa.Column("last_position", sa.Integer(), nullable=True, comment="seconds into the video"),
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
            "completed = (completion_date IS NOT NULL)",
            name=op.f("ck_lesson_progress_completion_date"),
        ),
        sa.CheckConstraint("last_position >= 0", name=op.f("ck_lesson_progress_last_position")),
        sa.CheckConstraint("time_spent >= 0", name=op.f("ck_lesson_progress_time_spent")),
        sa.ForeignKeyConstraint(
            ["enrollment_id"],
            ["enrollments.id"],
            name=op.f("fk_lesson_progress_enrollment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["lesson_id"],
            ["course_lessons.id"],
            name=op.f("fk_lesson_progress_lesson_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lesson_progress")),
        sa.UniqueConstraint(
            "enrollment_id", "lesson_id", name=op.f("uq_lesson_progress_enrollment_id_lesson_id")
        ),
        comment="How far a student is in a lesson",
    )
    op.create_index(
        op.f("idx_lesson_progress_lesson_id"), "lesson_progress", ["lesson_id"], unique=False
    )
    # Silent for a copied course whose instructor lives on another shard; inside
    # CREATE TABLE PostgreSQL would ignore NOT VALID.
    op.create_foreign_key(
        "fk_courses_instructor_id",
        "courses",
        "users",
        ["instructor_id"],
        ["id"],
        ondelete="RESTRICT",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_table("lesson_progress")
    op.drop_table("invoices")
    op.drop_table("course_reviews")
    op.drop_table("course_lessons")
    op.drop_table("transactions")
    op.drop_table("enrollments")
    op.drop_table("course_modules")
    op.drop_table("user_profiles")
    op.drop_table("payment_methods")
    op.drop_table("courses")
    op.drop_table("users")
    op.drop_table("outbox")
    op.drop_table("invoice_counters")
    op.drop_table("hosted_regions")
    op.drop_table("course_categories")
