"""Operations on one shard in one transaction, with a session in hand.

They are synchronous; ``await session.run_sync(operation, ...)`` runs one in an
`AsyncSession`. None of them commits. The errors that they name come from the
engines of `elearning.routing.Engines`, which translate those of the database.
"""

from elearning.crud.courses import Seats, get_course, seats_of
from elearning.crud.enrollments import enroll_user, get_enrollment
from elearning.crud.payments import (
    complete_refund,
    complete_transaction,
    create_refund,
    create_transaction,
    fail_transaction,
    get_invoice,
    get_transaction,
)
from elearning.crud.progress import Progress, mark_lesson_complete, mark_lesson_open
from elearning.crud.users import NewUser, create_user_with_profile, get_user, get_user_by_email

__all__ = [
    "NewUser",
    "Progress",
    "Seats",
    "complete_refund",
    "complete_transaction",
    "create_refund",
    "create_transaction",
    "create_user_with_profile",
    "enroll_user",
    "fail_transaction",
    "get_course",
    "get_enrollment",
    "get_invoice",
    "get_transaction",
    "get_user",
    "get_user_by_email",
    "mark_lesson_complete",
    "mark_lesson_open",
    "seats_of",
]
