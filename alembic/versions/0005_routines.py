"""What a constraint cannot say: steps, fixed columns, refunds, and the lessons of running courses.

Revision: 0005
Revises: 0004

* refuse_illegal_step: a status follows the states that docs/reference.md draws;
* refuse_fixed_change: whose a row is and what was agreed never change;
* refuse_settled_change, refuse_wrong_refund: a payment that is settled stays as it is, and a
  refund takes back no more than was paid;
* refuse_foreign_lesson: progress is made in lessons of the enrollment's own course;
* update_enrolled_lessons: a lesson that is added or archived is so for everybody who takes the
  course, for copied lessons too.

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
    "refuse_fixed_change",
    "refuse_illegal_step",
    "refuse_settled_change",
    "refuse_wrong_refund",
    "refuse_foreign_lesson",
    "update_enrolled_lessons",
)

CHANGED = (
    "update_enrollment_progress",
    "update_course_rating",
    "enroll_user",
    "complete_transaction",
)
"""Since 0002."""

TRIGGERS = (
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
    ("course_lessons", "update_enrolled_lessons"),
    ("lesson_progress", "update_enrollment_progress_insert"),
    ("lesson_progress", "update_enrollment_progress_update"),
    ("lesson_progress", "update_enrollment_progress_delete"),
)
"""Table and trigger: they fire for what replication brings, too."""


def upgrade() -> None:
    run("SET LOCAL lock_timeout = '5s'")
    for name in (*NEW, *CHANGED):
        create_routine(revision, name)
    for name, event, table, rest in TRIGGERS:
        run(f"CREATE TRIGGER {name} {event} ON {table} {rest}")
    for table, trigger in ALWAYS:
        run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def downgrade() -> None:
    run("SET LOCAL lock_timeout = '5s'")
    for table, trigger in ALWAYS:
        run(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
    for name, _, table, _ in TRIGGERS:
        run(f"DROP TRIGGER {name} ON {table}")
    for name in NEW:
        run(f"DROP FUNCTION {name}")
    for name in CHANGED:
        create_routine("0002", name)
