"""What a rule refuses."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = [
    "AlreadyEnrolled",
    "AlreadyReviewed",
    "CertificateRevoked",
    "ClaimReleased",
    "ClaimTooOld",
    "Conflict",
    "ContentExists",
    "ContentOfOtherType",
    "CopiedRow",
    "CourseFull",
    "CourseNotCopied",
    "CourseNotOpen",
    "Deadlock",
    "EmailTaken",
    "EnrollmentClosed",
    "EnrollmentNotActive",
    "EnrollmentNotCompleted",
    "FixedColumn",
    "GatewayIdTaken",
    "IllegalStep",
    "InvoiceMissing",
    "IsolationTooHigh",
    "LessonNotScored",
    "LessonRuleNotMet",
    "MisroutedRow",
    "NotAPayment",
    "NotPermitted",
    "NotTheInstructor",
    "OwnReview",
    "PreferencesExist",
    "PrerequisitesMissing",
    "RefundRefused",
    "SeatNotClaimed",
    "SeatsFree",
    "TooManyPaymentMethods",
    "TransactionNotPending",
    "UserHasPayments",
    "WishlistFull",
]


class Conflict(ElearningError):
    """The input is sound, but the stored state does not allow it."""


class Deadlock(Conflict):
    """Two transactions waited for each other (40P01), and nothing of this one is stored."""

    template = (
        "{node}: this transaction and another one waited for each other, and PostgreSQL ended "
        "this one: roll back, and do it again"
    )


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


class CopiedRow(Conflict):
    """A row of another shard is read here, and edited at its home."""

    template = "row {id} of {table} is a copy from {home}: edit it in a session of that region"
    sqlstate = "LE038"


class CourseNotCopied(Conflict):
    """A course exists, and its copy has not arrived where it is needed."""

    template = (
        "course {course_id} has not been copied to shard {shard} yet, after {seconds} s: try again "
        "soon; 'elearning health' tells how far the copies are"
    )


class ClaimReleased(Conflict):
    """Somebody settled the claim before it was used; nothing is written."""

    template = "claim {claim_id} was released before it was used: try again"
    sqlstate = "LE039"


class ClaimTooOld(Conflict):
    """A claim is used within an hour, or not at all."""

    template = (
        "claim {claim_id} was made more than an hour ago: try again, and look at the clocks of "
        "the machines if it happens again"
    )
    sqlstate = "LE041"


class SeatNotClaimed(Conflict):
    """In a course with a limit, nobody is enrolled without a seat."""

    template = (
        "course {course_id} of {home} has a limit, and no seat is claimed for user {user_id}: "
        "enroll with the flow enroll, or in the course's region with crud.enroll_user"
    )
    sqlstate = "LE042"


class SeatsFree(Conflict):
    """Nobody waits for a course that is not full."""

    template = "course {course_id} is not full: enroll in it, in place of waiting"
    sqlstate = "LE043"


class PrerequisitesMissing(Conflict):
    """Other courses are completed first."""

    template = "user {user_id} completes other courses before {course_id}: {missing}"
    sqlstate = "LE044"


class UserHasPayments(Conflict):
    """Payments are kept, and with them who paid."""

    template = "user {user_id} cannot be deleted: there are payments or courses of this account"


class NotPermitted(Conflict):
    """The application's role may not do this; `models/grants.py` lists what it may."""

    template = (
        "{node} refuses this to the role {role}: {problem}. "
        "If the role should have that right, 'elearning migrate' grants it"
    )


class LessonRuleNotMet(Conflict):
    """The student has not seen or scored enough for the lesson to be completed."""

    template = (
        "lesson {lesson_id} of enrollment {enrollment_id} cannot be completed yet: its rule is "
        "{rule}, from {threshold} percent on, and there are {value}"
    )


class LessonNotScored(Conflict):
    """Attempts are made at quizzes and assignments."""

    template = "lesson {lesson_id} is a {lesson_type}: only a quiz or an assignment takes attempts"


class EnrollmentNotCompleted(Conflict):
    """A certificate is for who has completed the course."""

    template = "enrollment {enrollment_id} is {status}: a certificate is for a completed one"


class CertificateRevoked(Conflict):
    """A certificate is revoked once."""

    template = "certificate {certificate_id} was revoked already: issue_certificate makes a new one"


class ContentExists(Conflict):
    """An id stands for one content."""

    template = "content {content_id} exists already: update it, or leave the id out"


class ContentOfOtherType(Conflict):
    """A video has no questions, and a quiz is not watched."""

    template = "content {content_id} is of type {content_type}, which has no {fields}"


class PreferencesExist(Conflict):
    """A user's preferences are one document."""

    template = "user {user_id} has preferences already: replace them, or change some"


class WishlistFull(Conflict):
    """A wishlist is read as a whole, so it has an end."""

    template = "the wishlist of user {user_id} is full: it holds {most} courses, remove one first"


class AlreadyReviewed(Conflict):
    """An enrollment has one review, which can be edited."""

    template = "enrollment {enrollment_id} has the review {review_id} already: edit that one"


class NotTheInstructor(Conflict):
    """A course's reviews are answered by who teaches it."""

    template = (
        "user {user_id} does not teach course {course_id}: only its instructor answers "
        "review {review_id}"
    )


class OwnReview(Conflict):
    """Nobody reports what they wrote."""

    template = "review {review_id} is by user {user_id}: edit or delete it in place of reporting it"


class TooManyPaymentMethods(Conflict):
    """A user has some ways to pay, not any number."""

    template = "user {user_id} has {most} payment methods already: remove one first"
