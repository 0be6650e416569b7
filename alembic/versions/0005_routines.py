"""What a constraint cannot say: steps, fixed columns, refunds, and the lessons of running courses.

Revision: 0005
Revises: 0004

* refuse_illegal_step: a status follows the states that docs/reference.md draws;
* refuse_fixed_change: whose a row is and what was agreed never change;
* refuse_settled_change, refuse_wrong_refund: a payment that is settled stays as it is, and a
  refund takes back no more than was paid;
* refuse_foreign_lesson: progress is made in lessons of the enrollment's own course;
* require_invoice: a payment is completed together with its invoice;
* update_enrolled_lessons: a lesson that is added or archived is so for everybody who takes the
  course, for copied lessons too. What was archived or added before is made good at the end.

Counters and invoices are written by functions that run as their owner from now on. Old
releases go on as before: no function changes its arguments or its result.
"""

from __future__ import annotations

from elearning.cluster.migrations.ddl import create_routine, run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NEW = (
    "require_read_committed",
    "require_invoice",
    "refuse_fixed_change",
    "refuse_illegal_step",
    "refuse_settled_change",
    "refuse_wrong_refund",
    "refuse_foreign_lesson",
    "update_enrolled_lessons",
)

CHANGED = (
    "refuse_misrouted_row",
    "create_user_with_profile",
    "update_enrollment_progress",
    "update_course_rating",
    "enroll_user",
    "complete_transaction",
)
"""Since 0002."""

TRIGGERS = (
    (
        "require_invoice",
        "BEFORE UPDATE OF status",
        "transactions",
        "FOR EACH ROW WHEN (NEW.status = 'completed' AND NEW.transaction_type <> 'refund') EXECUTE FUNCTION require_invoice()",
    ),
    (
        "update_enrolled_lessons",
        "AFTER INSERT",
        "course_modules",
        "FOR EACH ROW EXECUTE FUNCTION update_enrolled_lessons()",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF user_id",
        "payment_methods",
        "FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id) EXECUTE FUNCTION refuse_fixed_change('user_id')",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF user_id",
        "user_profiles",
        "FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id) EXECUTE FUNCTION refuse_fixed_change('user_id')",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF course_id",
        "course_modules",
        "FOR EACH ROW WHEN (OLD.course_id IS DISTINCT FROM NEW.course_id) EXECUTE FUNCTION refuse_fixed_change('course_id')",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF user_id, course_id",
        "enrollments",
        "FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.course_id IS DISTINCT FROM NEW.course_id) EXECUTE FUNCTION refuse_fixed_change('user_id', 'course_id')",
    ),
    (
        "refuse_illegal_step",
        "BEFORE UPDATE OF status",
        "enrollments",
        "FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_step('active > completed', 'active > dropped', 'active > expired', 'completed > active', 'dropped > active', 'expired > active')",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF user_id, course_id, amount, currency, transaction_type, refund_of_id",
        "transactions",
        "FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.course_id IS DISTINCT FROM NEW.course_id OR OLD.amount IS DISTINCT FROM NEW.amount OR OLD.currency IS DISTINCT FROM NEW.currency OR OLD.transaction_type IS DISTINCT FROM NEW.transaction_type OR OLD.refund_of_id IS DISTINCT FROM NEW.refund_of_id) EXECUTE FUNCTION refuse_fixed_change('user_id', 'course_id', 'amount', 'currency', 'transaction_type', 'refund_of_id')",
    ),
    (
        "refuse_illegal_step",
        "BEFORE UPDATE OF status",
        "transactions",
        "FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_step('pending > completed', 'pending > failed')",
    ),
    (
        "refuse_illegal_start",
        "BEFORE INSERT",
        "transactions",
        "FOR EACH ROW WHEN (NEW.status NOT IN ('pending')) EXECUTE FUNCTION refuse_illegal_step()",
    ),
    (
        "refuse_settled_change",
        "BEFORE UPDATE",
        "transactions",
        "FOR EACH ROW WHEN (OLD.status <> 'pending') EXECUTE FUNCTION refuse_settled_change()",
    ),
    (
        "refuse_wrong_refund",
        "BEFORE INSERT",
        "transactions",
        "FOR EACH ROW WHEN (NEW.transaction_type = 'refund') EXECUTE FUNCTION refuse_wrong_refund()",
    ),
    (
        "update_enrolled_lessons",
        "AFTER INSERT OR UPDATE OF module_id, archived_at",
        "course_lessons",
        "FOR EACH ROW EXECUTE FUNCTION update_enrolled_lessons()",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF enrollment_id, course_id",
        "course_reviews",
        "FOR EACH ROW WHEN (OLD.enrollment_id IS DISTINCT FROM NEW.enrollment_id OR OLD.course_id IS DISTINCT FROM NEW.course_id) EXECUTE FUNCTION refuse_fixed_change('enrollment_id', 'course_id')",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF transaction_id, invoice_number, invoice_date, due_date, subtotal, tax, discount, total, currency",
        "invoices",
        "FOR EACH ROW WHEN (OLD.transaction_id IS DISTINCT FROM NEW.transaction_id OR OLD.invoice_number IS DISTINCT FROM NEW.invoice_number OR OLD.invoice_date IS DISTINCT FROM NEW.invoice_date OR OLD.due_date IS DISTINCT FROM NEW.due_date OR OLD.subtotal IS DISTINCT FROM NEW.subtotal OR OLD.tax IS DISTINCT FROM NEW.tax OR OLD.discount IS DISTINCT FROM NEW.discount OR OLD.total IS DISTINCT FROM NEW.total OR OLD.currency IS DISTINCT FROM NEW.currency) EXECUTE FUNCTION refuse_fixed_change('transaction_id', 'invoice_number', 'invoice_date', 'due_date', 'subtotal', 'tax', 'discount', 'total', 'currency')",
    ),
    (
        "refuse_illegal_step",
        "BEFORE UPDATE OF status",
        "invoices",
        "FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_step('unpaid > paid', 'unpaid > overdue', 'unpaid > cancelled', 'overdue > paid', 'overdue > cancelled')",
    ),
    (
        "refuse_illegal_start",
        "BEFORE INSERT",
        "invoices",
        "FOR EACH ROW WHEN (NEW.status NOT IN ('unpaid', 'paid')) EXECUTE FUNCTION refuse_illegal_step()",
    ),
    (
        "refuse_fixed_change",
        "BEFORE UPDATE OF enrollment_id, lesson_id",
        "lesson_progress",
        "FOR EACH ROW WHEN (OLD.enrollment_id IS DISTINCT FROM NEW.enrollment_id OR OLD.lesson_id IS DISTINCT FROM NEW.lesson_id) EXECUTE FUNCTION refuse_fixed_change('enrollment_id', 'lesson_id')",
    ),
    (
        "refuse_foreign_lesson",
        "AFTER INSERT",
        "lesson_progress",
        "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION refuse_foreign_lesson()",
    ),
)
"""Name, event, table, and the rest."""

ALWAYS = (
    ("course_modules", "update_enrolled_lessons"),
    ("enrollments", "update_modified_timestamp"),
    ("lesson_progress", "update_modified_timestamp"),
    ("course_lessons", "update_enrolled_lessons"),
    ("lesson_progress", "update_enrollment_progress_insert"),
    ("lesson_progress", "update_enrollment_progress_update"),
    ("lesson_progress", "update_enrollment_progress_delete"),
)
"""Table and trigger: they fire for what replication brings, too."""

LOCKED = (
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
)
"""All that gets a trigger or is made good, in the order in which applications lock rows."""

OLD_RELEASES_MAY = (
    "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public",
    "EXECUTE ON ALL FUNCTIONS IN SCHEMA public",
)
"""What their functions, which run as the caller, need."""


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    # Reading goes on. All at once, so that no transaction of an application is in between.
    run(f"LOCK TABLE {', '.join(LOCKED)} IN SHARE ROW EXCLUSIVE MODE")
    for name in (*NEW, *CHANGED):
        create_routine(revision, name)
    for name, event, table, rest in TRIGGERS:
        run(f"CREATE TRIGGER {name} {event} ON {table} {rest}")
    for table, trigger in ALWAYS:
        run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
    # The triggers count along.
    run(
        "UPDATE lesson_progress AS p SET archived = true FROM course_lessons AS l "
        "WHERE l.id = p.lesson_id AND l.archived_at IS NOT NULL AND NOT p.archived"
    )
    run(
        "INSERT INTO lesson_progress (id, enrollment_id, lesson_id) "
        "SELECT new_id(region_code_of(e.id)), e.id, l.id FROM enrollments AS e "
        "JOIN course_modules AS m ON m.course_id = e.course_id "
        "JOIN course_lessons AS l ON l.module_id = m.id AND l.archived_at IS NULL "
        "ON CONFLICT (enrollment_id, lesson_id) DO NOTHING"
    )


def downgrade() -> None:
    run("SET LOCAL lock_timeout = '2s'")
    run(f"LOCK TABLE {', '.join(LOCKED)} IN SHARE ROW EXCLUSIVE MODE")
    # As 0002 counts: archived lessons too.
    run("UPDATE lesson_progress SET archived = false WHERE archived")
    for table, trigger in ALWAYS:
        run(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
    for name, _, table, _ in TRIGGERS:
        run(f"DROP TRIGGER {name} ON {table}")
    for name in NEW:
        run(f"DROP FUNCTION {name}")
    for name in CHANGED:
        create_routine("0002", name)
    for right in OLD_RELEASES_MAY:
        run(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'elearning_app') "
            f"THEN GRANT {right} TO elearning_app; END IF; END $$"
        )
