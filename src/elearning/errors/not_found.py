"""Rows that are not there."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = [
    "CertificateNotFound",
    "ContentNotFound",
    "CourseNotFound",
    "EnrollmentNotFound",
    "LessonNotFound",
    "NotFound",
    "PaymentMethodNotFound",
    "PreferencesNotFound",
    "ReviewNotFound",
    "TransactionNotFound",
    "UserNotFound",
]


class NotFound(ElearningError, LookupError):
    """The row that an id names does not exist on its shard."""


class UserNotFound(NotFound):
    """No such user."""

    template = "no user {user_id}"
    sqlstate = "LE011"


class CourseNotFound(NotFound):
    """No such course on the shard that was asked."""

    template = "no course {course_id} on this shard"
    sqlstate = "LE012"


class EnrollmentNotFound(NotFound):
    """No such enrollment."""

    template = "no enrollment {enrollment_id}"
    sqlstate = "LE013"


class LessonNotFound(NotFound):
    """The lesson does not exist, or is not part of the enrollment's course."""

    template = "enrollment {enrollment_id} has no lesson {lesson_id}"
    sqlstate = "LE014"


class TransactionNotFound(NotFound):
    """No such transaction."""

    template = "no transaction {transaction_id}"
    sqlstate = "LE015"


class PaymentMethodNotFound(NotFound):
    """The payment method does not exist, or belongs to somebody else."""

    template = "user {user_id} has no payment method {payment_method_id}"
    sqlstate = "LE016"


class CertificateNotFound(NotFound):
    """No such certificate."""

    template = "no certificate {certificate_id}"


class ContentNotFound(NotFound):
    """No such content in MongoDB."""

    template = "no content {content_id}"


class PreferencesNotFound(NotFound):
    """No such user, or one whose preferences are still on their way to MongoDB."""

    template = "no preferences of user {user_id}: those of a new user may be still in the outbox"


class ReviewNotFound(NotFound):
    """No such review."""

    template = "no review {review_id}"
