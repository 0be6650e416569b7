"""What a rule refuses."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = [
    "AlreadyEnrolled",
    "Conflict",
    "CourseFull",
    "CourseNotOpen",
    "EmailTaken",
    "EnrollmentClosed",
    "EnrollmentNotActive",
    "FixedColumn",
    "GatewayIdTaken",
    "IllegalStep",
    "InvoiceMissing",
    "IsolationTooHigh",
    "MisroutedRow",
    "NotAPayment",
    "NotPermitted",
    "RefundRefused",
    "TransactionNotPending",
]


class Conflict(ElearningError):
    """The input is sound, but the stored state does not allow it."""


class EmailTaken(Conflict):
    """The address belongs to an account already."""

    template = "the email address {email!r} belongs to an account already"
    sqlstate = "LE021"


class AlreadyEnrolled(Conflict):
    """The user has this course already."""

    template = "user {user_id} is already enrolled in course {course_id} (enrollment {status})"
    sqlstate = "LE022"


class CourseFull(Conflict):
    """Every seat is taken."""

    template = "course {course_id} is full: all {seats} seats are taken"
    sqlstate = "LE023"


class CourseNotOpen(Conflict):
    """A draft or an archived course takes no enrollments and is not sold."""

    template = "course {course_id} is {status}: only a published course can be taken or bought"
    sqlstate = "LE024"


class EnrollmentNotActive(Conflict):
    """Progress is kept for active and completed enrollments only."""

    template = "enrollment {enrollment_id} is {status}: enroll again before going on with lessons"
    sqlstate = "LE025"


class TransactionNotPending(Conflict):
    """A transaction leaves the state "pending" once."""

    template = (
        "transaction {transaction_id} is {status}: only a pending one changes, and a refund is a "
        "transaction of its own"
    )
    sqlstate = "LE026"


class GatewayIdTaken(Conflict):
    """A gateway's id stands for one payment."""

    template = (
        "transaction {transaction_id} cannot be completed as {gateway_transaction_id!r}: "
        "{gateway} has given that id to another payment"
    )
    sqlstate = "LE027"


class EnrollmentClosed(Conflict):
    """The course takes enrollments at another time."""

    template = "course {course_id} takes enrollments from {opens} to {closes}, and not now"
    sqlstate = "LE028"


class RefundRefused(Conflict):
    """A refund takes back a completed payment, and no more than was paid."""

    template = (
        "{amount} {currency} of transaction {transaction_id} cannot be refunded: it {problem}"
    )
    sqlstate = "LE034"


class NotAPayment(Conflict):
    """A refund is not charged, and has no invoice."""

    template = "transaction {transaction_id} is a refund: complete it with complete_refund"
    sqlstate = "LE035"


class IsolationTooHigh(Conflict):
    """Seats, refunds and lessons are counted under a lock, of what others have committed."""

    template = (
        "this cannot be done in a transaction that is {isolation!r}, for it counts what others "
        "commit meanwhile: do it in one that is 'read committed', PostgreSQL's default"
    )
    sqlstate = "LE036"


class InvoiceMissing(Conflict):
    """A payment is completed together with its invoice."""

    template = "transaction {transaction_id} has no invoice: complete it with complete_transaction"
    sqlstate = "LE037"


class MisroutedRow(Conflict):
    """A row's id names a region that this shard does not host."""

    template = (
        "row {id} of {table} belongs to region code {region}, which this shard does not host: "
        "write it on its home shard, or run 'elearning migrate' if the settings moved the region"
    )
    sqlstate = "LE031"


class IllegalStep(Conflict):
    """A status is not followed by this one."""

    template = (
        "{table} {id} cannot go from {before} to {after}: "
        "docs/reference.md draws the steps that there are"
    )
    sqlstate = "LE032"


class FixedColumn(Conflict):
    """A column that tells whose a row is, or what was agreed, never changes."""

    template = "{columns} of {table} {id} cannot change: add a row of its own instead"
    sqlstate = "LE033"


class NotPermitted(Conflict):
    """The application's role may not do this; `models/grants.py` lists what it may."""

    template = (
        "{node} refuses this to the role {role}: {problem}. "
        "If the role should have that right, 'elearning migrate' grants it"
    )
