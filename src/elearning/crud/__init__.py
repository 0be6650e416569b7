"""Operations on one shard in one transaction, with a session in hand.

They are synchronous; ``await session.run_sync(operation, ...)`` runs one in an
`AsyncSession`. None of them commits. The errors that they name come from the
engines of `elearning.routing.Engines`, which translate those of the database.
"""

from elearning.crud.claims import (
    EmailClaim,
    HeldClaim,
    claim_email,
    claim_seat,
    confirm_claim,
    find_claim,
    find_holder,
    forget_email_key,
    pending_claims,
    prune_claims,
    release_claim,
    settle_claim,
)
from elearning.crud.courses import (
    SEAT_HOLDERS,
    CourseFigures,
    Seats,
    figures_of,
    get_course,
    seats_of,
)
from elearning.crud.enrollments import (
    Unclaimed,
    adopt_claim,
    cancel_enrollment,
    check_enrollment,
    enroll_user,
    expire_enrollments,
    get_enrollment,
    unclaimed_enrollments,
)
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
from elearning.crud.users import (
    NewUser,
    adopt_email,
    change_email,
    create_user_with_profile,
    delete_user,
    get_user,
    get_user_by_email,
    unclaimed_users,
)
from elearning.crud.waitlist import join_waitlist, leave_waitlist

__all__ = [
    "SEAT_HOLDERS",
    "CourseFigures",
    "EmailClaim",
    "HeldClaim",
    "NewUser",
    "Progress",
    "Seats",
    "Unclaimed",
    "adopt_claim",
    "adopt_email",
    "cancel_enrollment",
    "change_email",
    "check_enrollment",
    "claim_email",
    "claim_seat",
    "complete_refund",
    "complete_transaction",
    "confirm_claim",
    "create_refund",
    "create_transaction",
    "create_user_with_profile",
    "delete_user",
    "enroll_user",
    "expire_enrollments",
    "fail_transaction",
    "figures_of",
    "find_claim",
    "find_holder",
    "forget_email_key",
    "get_course",
    "get_enrollment",
    "get_invoice",
    "get_transaction",
    "get_user",
    "get_user_by_email",
    "join_waitlist",
    "leave_waitlist",
    "mark_lesson_complete",
    "mark_lesson_open",
    "pending_claims",
    "prune_claims",
    "release_claim",
    "seats_of",
    "settle_claim",
    "unclaimed_enrollments",
    "unclaimed_users",
]
