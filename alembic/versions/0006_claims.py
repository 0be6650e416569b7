"""What is true worldwide, and how it is counted.

Revision: 0006
Revises: 0005

Claims of seats and email addresses, the line of those who wait for a seat, what comes before a
course, counters per region, and the columns that go with them. What fills and keeps them is 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from elearning.cluster.migrations.ddl import run

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COMMENTS = (
    (
        "rating_sum",
        "kept, with total_ratings, by the trigger update_course_rating",
        "kept, with total_ratings, by the triggers sum_course_ratings; of all regions",
    ),
    (
        "total_ratings",
        "how many reviews there are",
        "how many reviews there are, in all regions",
    ),
)
"""Column of courses, the comment before, the comment now."""


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    # At once, so that no transaction of an application is in between.
    run("LOCK TABLE courses, enrollments IN ACCESS EXCLUSIVE MODE")
    op.create_table(
        "claim_outcomes",
        sa.Column(
            "claim_id",
            sa.Uuid(),
            nullable=False,
            comment="a row of claims, on the shard that owns the fact",
        ),
        sa.Column(
            "outcome",
            sa.Enum(
                "used",
                "released",
                name="claim_result",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.Enum(
                "seat",
                "email",
                name="claim_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("fact", sa.LargeBinary(), nullable=False, comment="as in claims"),
        sa.Column(
            "holder_id",
            sa.Uuid(),
            nullable=False,
            comment="a user of this shard; the row outlives the account",
        ),
        sa.Column(
            "offered",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="used after the waiting list had offered it; kept for ever",
        ),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_claim_outcomes")),
        comment="What became of each claim, on the holder's shard",
    )
    op.create_index(
        op.f("idx_claim_outcomes_holder_id"), "claim_outcomes", ["holder_id"], unique=False
    )
    op.create_index(
        "idx_claim_outcomes_released",
        "claim_outcomes",
        ["decided_at"],
        unique=False,
        postgresql_where=sa.text("outcome = 'released'"),
    )
    op.create_table(
        "claims",
        sa.Column("id", sa.Uuid(), nullable=False, comment="its region is the holder's"),
        sa.Column(
            "kind",
            sa.Enum(
                "seat",
                "email",
                name="claim_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "fact",
            sa.LargeBinary(),
            nullable=False,
            comment="a course's id, or the keyed hash of an address; never the address",
        ),
        sa.Column("holder_id", sa.Uuid(), nullable=False, comment="a user, on any shard"),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "confirmed",
                "released",
                name="claim_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="pending",
            nullable=False,
        ),
        sa.Column(
            "offered",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="a seat that came free for somebody who waited",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "settled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was confirmed or released; NULL: pending",
        ),
        sa.CheckConstraint(
            "(status = 'pending') = (settled_at IS NULL)", name=op.f("ck_claims_settled_at")
        ),
        sa.CheckConstraint(
            "octet_length(fact) = CASE kind WHEN 'seat' THEN 16 ELSE 36 END",
            name=op.f("ck_claims_fact"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
        comment="Who holds a seat or an email address, on the shard that owns the fact",
    )
    op.create_index(
        "idx_claims_pending",
        "claims",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "idx_claims_released",
        "claims",
        ["settled_at"],
        unique=False,
        postgresql_where=sa.text("status = 'released'"),
    )
    op.create_index(
        "uq_claims_email",
        "claims",
        ["fact"],
        unique=True,
        postgresql_where=sa.text("kind = 'email' AND status <> 'released'"),
    )
    op.create_index(
        "uq_claims_seat",
        "claims",
        ["fact", "holder_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'seat' AND status <> 'released'"),
    )
    op.create_table(
        "course_prerequisites",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column(
            "prerequisite_id",
            sa.Uuid(),
            nullable=False,
            comment="a course of any region; it is completed first",
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
        sa.Column(
            "version", sa.Integer(), server_default="1", nullable=False, comment="counts the edits"
        ),
        sa.CheckConstraint(
            "get_byte(uuid_send(id), 7) = get_byte(uuid_send(course_id), 7)",
            name=op.f("ck_course_prerequisites_home"),
        ),
        sa.CheckConstraint(
            "prerequisite_id <> course_id", name=op.f("ck_course_prerequisites_prerequisite_id")
        ),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_course_prerequisites_course_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["prerequisite_id"],
            ["courses.id"],
            name=op.f("fk_course_prerequisites_prerequisite_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course_prerequisites")),
        sa.UniqueConstraint(
            "course_id",
            "prerequisite_id",
            name=op.f("uq_course_prerequisites_course_id_prerequisite_id"),
        ),
        comment="Which courses are completed before a course is taken",
    )
    op.create_index(
        op.f("idx_course_prerequisites_prerequisite_id"),
        "course_prerequisites",
        ["prerequisite_id"],
        unique=False,
    )
    op.create_table(
        "course_seats",
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column(
            "taken",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="claims that are pending or confirmed",
        ),
        sa.CheckConstraint("taken >= 0", name=op.f("ck_course_seats_taken")),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_course_seats_course_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("course_id", name=op.f("pk_course_seats")),
        comment="How many seats of a course are taken worldwide, at its home",
    )
    op.create_table(
        "course_statistics",
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column(
            "region_code",
            sa.SmallInteger(),
            autoincrement=False,
            nullable=False,
            comment="of the people, 1 to 6",
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
        sa.Column(
            "rating_sum",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="of all reviews together",
        ),
        sa.Column(
            "total_ratings",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="how many reviews there are",
        ),
        sa.CheckConstraint(
            "completions BETWEEN 0 AND enrollments", name=op.f("ck_course_statistics_completions")
        ),
        sa.CheckConstraint("enrollments >= 0", name=op.f("ck_course_statistics_enrollments")),
        sa.CheckConstraint(
            "rating_sum BETWEEN total_ratings AND 5 * total_ratings",
            name=op.f("ck_course_statistics_rating"),
        ),
        sa.CheckConstraint(
            "region_code BETWEEN 1 AND 6", name=op.f("ck_course_statistics_region_code")
        ),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_course_statistics_course_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("course_id", "region_code", name=op.f("pk_course_statistics")),
        comment="Counters of a course for the people of each region; copied like courses",
    )
    op.create_table(
        "waitlist",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="the order of arrival",
        ),
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False, comment="a user, on any shard"),
        sa.Column(
            "status",
            sa.Enum(
                "waiting",
                "offered",
                "left",
                name="waitlist_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="waiting",
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["course_id"], ["courses.id"], name=op.f("fk_waitlist_course_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waitlist")),
        comment="Who waits for a seat, in order of arrival, at the course's home",
    )
    op.create_index("idx_waitlist_course_id", "waitlist", ["course_id", "id"], unique=False)
    op.create_index(
        "idx_waitlist_over",
        "waitlist",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("status <> 'waiting'"),
    )
    op.create_index(
        "uq_waitlist_course_id_user_id",
        "waitlist",
        ["course_id", "user_id"],
        unique=True,
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.add_column(
        "courses",
        sa.Column(
            "instructor_name",
            sa.String(length=201),
            server_default="",
            nullable=False,
            comment="all of the instructor that leaves home; kept by the triggers keep_instructor_name",
        ),
    )
    op.add_column(
        "courses",
        sa.Column(
            "access_days",
            sa.Integer(),
            comment="an enrollment expires after so many days; NULL: never",
        ),
    )
    run(
        "ALTER TABLE courses ADD CONSTRAINT ck_courses_access_days CHECK (access_days BETWEEN 1 AND 36500) NOT VALID"
    )
    # The column is new: there is nothing to look at.
    run(
        "-- squawk-ignore constraint-missing-not-valid\n"
        "ALTER TABLE courses VALIDATE CONSTRAINT ck_courses_access_days"
    )
    for column, _, comment in COMMENTS:
        op.alter_column("courses", column, comment=comment)
    op.add_column(
        "enrollments",
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            comment="from then on the enrollment is over; NULL: it does not end by itself",
        ),
    )
    op.add_column(
        "enrollments",
        sa.Column(
            "claim_id",
            sa.Uuid(),
            comment="its seat, a row of claims at the course's home; NULL: the course has no limit",
        ),
    )
    # No release has filled these tables: a moment's lock does no harm.
    run(
        "-- squawk-ignore require-concurrent-index-creation\n"
        "CREATE INDEX idx_enrollments_expires_at ON enrollments (expires_at) "
        "WHERE status = 'active'"
    )
    run(
        "-- squawk-ignore require-concurrent-index-creation\n"
        "CREATE UNIQUE INDEX uq_enrollments_claim_id ON enrollments (claim_id)"
    )
    run(
        "ALTER TABLE enrollments ADD CONSTRAINT uq_enrollments_claim_id "
        "UNIQUE USING INDEX uq_enrollments_claim_id"
    )


def downgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    run("LOCK TABLE courses, enrollments IN ACCESS EXCLUSIVE MODE")
    op.drop_constraint("uq_enrollments_claim_id", "enrollments")
    op.drop_index("idx_enrollments_expires_at", "enrollments")
    op.drop_column("enrollments", "claim_id")
    op.drop_column("enrollments", "expires_at")
    for column, comment, _ in COMMENTS:
        op.alter_column("courses", column, comment=comment)
    op.drop_constraint("ck_courses_access_days", "courses")
    op.drop_column("courses", "access_days")
    op.drop_column("courses", "instructor_name")
    for table in (
        "waitlist",
        "course_statistics",
        "course_seats",
        "course_prerequisites",
        "claims",
        "claim_outcomes",
    ):
        op.drop_table(table)
