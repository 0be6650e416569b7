"""A platform in six regions: what keeps claims, counters, copies and seats right.

Revision: 0007
Revises: 0006

* a copy of another shard's row is neither changed nor deleted here;
* claims of seats and addresses, and the line of those who wait: docs/claims.md;
* a course carries its instructor's name, and its rating is that of all regions.

Enrollments that are there are counted, and get a seat where their course has a limit. Old
releases go on: the functions that they call take the same arguments, and new ones by default.
"""

from __future__ import annotations

from elearning.cluster.migrations.ddl import create_routine, run

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FUNCTIONS = (
    "region_name",
    "is_home",
    "refuse_misrouted_row",
    "keep_instructor_name",
    "count_course",
    "update_course_statistics",
    "update_course_rating",
    "sum_course_ratings",
    "require_fresh_claim",
    "claim_home",
    "require_home",
    "require_open",
    "require_prerequisites",
    "check_enrollment",
    "require_seat",
    "use_claim",
    "settle_claim",
    "confirm_claim",
    "offer_seats",
    "offer_new_seats",
    "release_claim",
    "give_back_claim",
    "give_back_seat",
    "give_back_email",
    "claim_seat",
    "claim_email",
    "adopt_claim",
    "use_emails",
    "change_email",
    "join_waitlist",
    "leave_waitlist",
    "lock_seats",
    "lose_claim",
    "offer_all_seats",
    "prune_claims",
    "create_user_with_profile",
    "enroll_user",
)
"""In the order in which they can be created."""

CHANGED = {
    "refuse_misrouted_row": "0005",
    "update_course_rating": "0005",
    "create_user_with_profile": "0005",
    "enroll_user": "0005",
}
"""Functions, and the revision whose text they had before."""

SIGNATURES = {
    "create_user_with_profile": (
        "text, text, text, text, text, text, text, date, text, text, text, text, text, text, text, "
        "jsonb"
    ),
    "enroll_user": "uuid, uuid",
}
"""Those that take more arguments now, and what they took before."""

TRIGGERS = (
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF kind, fact, holder_id",
        "claims",
        "FOR EACH ROW WHEN (OLD.kind IS DISTINCT FROM NEW.kind OR OLD.fact IS DISTINCT FROM NEW.fact OR OLD.holder_id IS DISTINCT FROM NEW.holder_id) EXECUTE FUNCTION refuse_fixed_change('kind', 'fact', 'holder_id')",
    ),
    (
        "refuse_illegal_step",
        "BEFORE UPDATE OF status",
        "claims",
        "FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_step('pending > confirmed', 'pending > released', 'confirmed > released')",
    ),
    (
        "refuse_illegal_start",
        "BEFORE INSERT",
        "claims",
        "FOR EACH ROW WHEN (NEW.status NOT IN ('pending', 'confirmed')) EXECUTE FUNCTION refuse_illegal_step()",
    ),
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR DELETE OR UPDATE",
        "course_categories",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
    (
        "keep_instructor_name",
        "AFTER UPDATE OF first_name, last_name",
        "users",
        "FOR EACH ROW WHEN (OLD.first_name IS DISTINCT FROM NEW.first_name OR OLD.last_name IS DISTINCT FROM NEW.last_name) EXECUTE FUNCTION keep_instructor_name()",
    ),
    (
        "give_back_email",
        "AFTER DELETE",
        "users",
        "FOR EACH ROW EXECUTE FUNCTION give_back_email()",
    ),
    (
        "update_modified_timestamp",
        "BEFORE UPDATE OF id, course_code, slug, title, description, instructor_id, instructor_name, category_id, level, price, currency, duration_hours, language, status, max_enrollments, enrollment_opens_at, enrollment_closes_at, access_days, published_at, archived_at, created_at, updated_at, version",
        "courses",
        "FOR EACH ROW EXECUTE FUNCTION update_modified_timestamp()",
    ),
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR DELETE OR UPDATE OF id, course_code, slug, title, description, instructor_id, instructor_name, category_id, level, price, currency, duration_hours, language, status, max_enrollments, enrollment_opens_at, enrollment_closes_at, access_days, published_at, archived_at, created_at, updated_at, version",
        "courses",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
    (
        "keep_instructor_name",
        "BEFORE INSERT OR UPDATE OF instructor_id",
        "courses",
        "FOR EACH ROW EXECUTE FUNCTION keep_instructor_name()",
    ),
    (
        "sum_course_ratings",
        "BEFORE INSERT",
        "courses",
        "FOR EACH ROW EXECUTE FUNCTION sum_course_ratings()",
    ),
    (
        "offer_new_seats",
        "AFTER UPDATE OF max_enrollments, status",
        "courses",
        "FOR EACH ROW WHEN (OLD.max_enrollments IS DISTINCT FROM NEW.max_enrollments OR OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION offer_new_seats()",
    ),
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR DELETE OR UPDATE",
        "course_modules",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
    (
        "update_modified_timestamp",
        "BEFORE UPDATE",
        "course_prerequisites",
        "FOR EACH ROW EXECUTE FUNCTION update_modified_timestamp()",
    ),
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR DELETE OR UPDATE",
        "course_prerequisites",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF course_id, prerequisite_id",
        "course_prerequisites",
        "FOR EACH ROW WHEN (OLD.course_id IS DISTINCT FROM NEW.course_id OR OLD.prerequisite_id IS DISTINCT FROM NEW.prerequisite_id) EXECUTE FUNCTION refuse_fixed_change('course_id', 'prerequisite_id')",
    ),
    (
        "sum_course_ratings",
        "AFTER INSERT OR DELETE OR UPDATE",
        "course_statistics",
        "FOR EACH ROW EXECUTE FUNCTION sum_course_ratings()",
    ),
    (
        "update_course_statistics_insert",
        "AFTER INSERT",
        "enrollments",
        "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION update_course_statistics()",
    ),
    (
        "update_course_statistics_update",
        "AFTER UPDATE",
        "enrollments",
        "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION update_course_statistics()",
    ),
    (
        "update_course_statistics_delete",
        "AFTER DELETE",
        "enrollments",
        "REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION update_course_statistics()",
    ),
    (
        "require_seat_insert",
        "BEFORE INSERT",
        "enrollments",
        "FOR EACH ROW WHEN (NEW.status IN ('active', 'completed') AND NEW.claim_id IS NULL) EXECUTE FUNCTION require_seat()",
    ),
    (
        "require_seat_update",
        "BEFORE UPDATE OF status",
        "enrollments",
        "FOR EACH ROW WHEN (OLD.status NOT IN ('active', 'completed') AND NEW.status IN ('active', 'completed') AND NEW.claim_id IS NULL) EXECUTE FUNCTION require_seat()",
    ),
    (
        "give_back_seat_update",
        "BEFORE UPDATE OF status",
        "enrollments",
        "FOR EACH ROW WHEN (OLD.claim_id IS NOT NULL AND NEW.status NOT IN ('active', 'completed')) EXECUTE FUNCTION give_back_seat()",
    ),
    (
        "give_back_seat_delete",
        "AFTER DELETE",
        "enrollments",
        "FOR EACH ROW WHEN (OLD.claim_id IS NOT NULL) EXECUTE FUNCTION give_back_seat()",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF course_id, user_id",
        "waitlist",
        "FOR EACH ROW WHEN (OLD.course_id IS DISTINCT FROM NEW.course_id OR OLD.user_id IS DISTINCT FROM NEW.user_id) EXECUTE FUNCTION refuse_fixed_change('course_id', 'user_id')",
    ),
    (
        "refuse_illegal_step",
        "BEFORE UPDATE OF status",
        "waitlist",
        "FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_step('waiting > offered', 'waiting > left')",
    ),
    (
        "refuse_illegal_start",
        "BEFORE INSERT",
        "waitlist",
        "FOR EACH ROW WHEN (NEW.status NOT IN ('waiting')) EXECUTE FUNCTION refuse_illegal_step()",
    ),
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR DELETE OR UPDATE",
        "course_lessons",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
)
"""Name, event, table, and the rest."""

REPLACED = (
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR UPDATE OF id",
        "course_categories",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
    (
        "update_modified_timestamp",
        "BEFORE UPDATE",
        "courses",
        "FOR EACH ROW EXECUTE FUNCTION update_modified_timestamp()",
    ),
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR UPDATE OF id",
        "courses",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR UPDATE OF id",
        "course_modules",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
    (
        "refuse_misrouted_row",
        "BEFORE INSERT OR UPDATE OF id",
        "course_lessons",
        "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()",
    ),
)
"""What some of them were before."""

ALWAYS = (
    ("courses", "sum_course_ratings"),
    ("course_statistics", "sum_course_ratings"),
    ("enrollments", "update_course_statistics_insert"),
    ("enrollments", "update_course_statistics_update"),
    ("enrollments", "update_course_statistics_delete"),
)
"""Table and trigger: they fire for what replication brings, too."""

LOCKED = (
    "users",
    "courses",
    "course_categories",
    "course_modules",
    "course_lessons",
    "enrollments",
    "course_reviews",
)
"""All that gets a trigger, in the order in which applications lock rows."""

COUNTED = """
INSERT INTO course_statistics
    (course_id, region_code, enrollments, completions, rating_sum, total_ratings)
SELECT course_id, region, sum(live), sum(done), sum(total), sum(ratings)
FROM (
    SELECT course_id, region_code_of(id) AS region,
        (status IN ('active', 'completed'))::integer AS live,
        (status = 'completed')::integer AS done, 0 AS total, 0 AS ratings
    FROM enrollments
    UNION ALL
    SELECT course_id, region_code_of(id), 0, 0, rating, 1 FROM course_reviews
) AS counted
GROUP BY course_id, region
"""

# Seats in courses of other shards are claimed there, by elearning recover.
SEATED = (
    """
    UPDATE enrollments AS e SET claim_id = new_id(region_code_of(e.id))
    FROM courses AS c
    WHERE c.id = e.course_id AND c.max_enrollments IS NOT NULL
        AND e.status IN ('active', 'completed') AND is_home(region_code_of(c.id))
    """,
    """
    INSERT INTO claims (id, kind, fact, holder_id, status, settled_at)
    SELECT claim_id, 'seat', uuid_send(course_id), user_id, 'confirmed', clock_timestamp()
    FROM enrollments WHERE claim_id IS NOT NULL
    """,
    """
    INSERT INTO claim_outcomes (claim_id, outcome, kind, fact, holder_id)
    SELECT claim_id, 'used', 'seat', uuid_send(course_id), user_id
    FROM enrollments WHERE claim_id IS NOT NULL
    """,
    """
    INSERT INTO course_seats (course_id, taken)
    SELECT course_id, count(*) FROM enrollments WHERE claim_id IS NOT NULL GROUP BY course_id
    """,
)


EMPTIED = (
    "UPDATE enrollments SET claim_id = NULL WHERE claim_id IS NOT NULL",
    "DELETE FROM claims",
    "DELETE FROM claim_outcomes",
    "DELETE FROM course_seats",
    "DELETE FROM course_statistics",
)
"""Nobody keeps these in an older release: the enrollments tell them again, and recovery the rest."""


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    # Reading goes on. All at once, so that no transaction of an application is in between.
    run(f"LOCK TABLE {', '.join(LOCKED)} IN SHARE ROW EXCLUSIVE MODE")
    for name, arguments in SIGNATURES.items():
        # What takes its place serves the same calls.
        run(f"-- squawk-ignore ban-drop-function\nDROP FUNCTION {name} ({arguments})")
    # Before the triggers that would look at it.
    run(
        "UPDATE courses AS c SET instructor_name = u.first_name || ' ' || u.last_name "
        "FROM users AS u WHERE u.id = c.instructor_id"
    )
    for name in FUNCTIONS:
        create_routine(revision, name)
    run(COUNTED)
    for statement in SEATED:
        run(statement)
    for name, _, table, _ in REPLACED:
        run(f"DROP TRIGGER {name} ON {table}")
    for name, event, table, rest in TRIGGERS:
        run(f"CREATE TRIGGER {name} {event} ON {table} {rest}")
    for table, trigger in ALWAYS:
        run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def downgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    run(f"LOCK TABLE {', '.join(LOCKED)} IN SHARE ROW EXCLUSIVE MODE")
    for name, _, table, _ in reversed(TRIGGERS):
        run(f"DROP TRIGGER {name} ON {table}")
    for statement in EMPTIED:
        run(statement)
    for name, event, table, rest in REPLACED:
        run(f"CREATE TRIGGER {name} {event} ON {table} {rest}")
    for name in SIGNATURES:
        run(f"DROP FUNCTION {name}")
    for name, before in CHANGED.items():
        create_routine(before, name)
    for name in reversed(FUNCTIONS):
        if name not in CHANGED:
            run(f"DROP FUNCTION {name}")
