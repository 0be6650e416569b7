"""Accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any
from uuid import UUID

from psycopg.errors import ForeignKeyViolation, RestrictViolation
from sqlalchemy import BindParameter, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from elearning.crud.accounts.user_fields import checked_fields
from elearning.crud.seats.claims import EmailClaim
from elearning.crud.seats.enrollments import lock_seats
from elearning.documents import Preferences
from elearning.errors import ClaimReleased, InvalidText, UserHasPayments, UserNotFound
from elearning.models import ClaimKind, ClaimOutcome, ClaimResult, Enrollment, User, UserType
from elearning.models.counters import expire_counted
from elearning.regions import Region
from elearning.routing import Reader
from elearning.text import checked_choice, checked_text, normalize_email

__all__ = [
    "NewUser",
    "adopt_email",
    "change_email",
    "create_user_with_profile",
    "delete_user",
    "get_user",
    "get_user_by_email",
    "unclaimed_users",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewUser:
    """Who registers. Checked when made; the address is normalized.

    Raises:
        UnknownRegion, InvalidEmail, InvalidText: what was wrong.
    """

    region: Region | str
    email: str
    first_name: str
    last_name: str
    password_hash: str | None = field(default=None, repr=False)
    user_type: UserType = UserType.STUDENT
    phone_number: str | None = None
    date_of_birth: date | None = None
    country: str | None = None
    subdivision: str | None = None
    city: str | None = None
    bio: str | None = None
    avatar_url: str | None = None
    locale: str = "en"
    time_zone: str = "UTC"
    preferences: Preferences = field(default_factory=Preferences)

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "region": Region.parse(self.region),
            "email": normalize_email(self.email),
            "user_type": checked_choice("user_type", self.user_type, UserType),
            "preferences": _preferences(self.preferences),
        }
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in (checked_fields(given) | checked).items():
            object.__setattr__(self, name, value)


_MOST_PREFERENCES = 100_000


def _preferences(value: Preferences) -> Preferences:
    """Check again, for a model may be changed after it was made, and copy."""
    try:
        checked = Preferences.model_validate(value.model_dump(warnings=False))
        text = checked.model_dump_json()
    except (AttributeError, ValueError) as error:
        raise InvalidText(field="preferences", problem=str(error)[:300]) from None
    checked_text("preferences", text, most=_MOST_PREFERENCES)
    if "\\u0000" in text:
        raise InvalidText(field="preferences", problem="holds a NUL character")
    return checked


def create_user_with_profile(
    session: Session,
    user: NewUser,
    *,
    user_id: UUID | None = None,
    claims: Sequence[EmailClaim] = (),
) -> UUID:
    """Create an account with its profile on the session's shard, and return its id.

    Args:
        session: a session of the user's region.
        user: who registers.
        user_id: the account's id, new; default: one is made.
        claims: of the address. Without any it is unique on this shard alone, until
            `elearning recover` claims it.

    Raises:
        EmailTaken: an account has this address.
        ClaimReleased, ClaimTooOld: a claim cannot be used any more.
    """
    # Named notation: no argument depends on the order of the routine's parameters.
    names = (*NewUser.__slots__, "user_id", "claims")
    arguments = ", ".join(f"p_{name} => :{name}" for name in names)
    statement = text(f"SELECT create_user_with_profile({arguments})").bindparams(
        bindparam("preferences", type_=JSONB), bindparam("claims", type_=JSONB)
    )
    created: UUID = session.scalar(
        statement,
        {name: getattr(user, name) for name in NewUser.__slots__}
        | {
            "preferences": user.preferences.model_dump(mode="json"),
            "user_id": user_id,
            "claims": [claim.to_json() for claim in claims],
        },
    )
    return created


def change_email(session: Session, user_id: UUID, email: str, claims: Sequence[EmailClaim]) -> None:
    """Give an account another address, and the claims of the former one back.

    Args:
        session: a session of the user's region.
        user_id: whose.
        email: the new address.
        claims: of that.

    Raises:
        InvalidEmail: not an address.
        UserNotFound: there is no such account.
        EmailTaken: another account has it.
        ClaimReleased, ClaimTooOld: a claim cannot be used any more.
    """
    session.execute(select(func.change_email(user_id, normalize_email(email), _given(claims))))
    expire_counted(session, User, user_id)


def _given(claims: Sequence[EmailClaim]) -> BindParameter[Any]:
    return bindparam("claims", [claim.to_json() for claim in claims], type_=JSONB)


def delete_user(session: Session, user_id: UUID) -> None:
    """Delete an account with all that belongs to it; its seats and its address go back.

    Raises:
        UserNotFound: there is no such account.
        UserHasPayments: it has paid, or teaches.
    """
    # As everywhere: enrollments, then seats in one order.
    courses = session.scalars(
        select(Enrollment.course_id)
        .where(Enrollment.user_id == user_id, Enrollment.claim_id.is_not(None))
        .order_by(Enrollment.id)
        .with_for_update()
    ).all()
    lock_seats(session, courses)
    try:
        deleted = session.scalar(delete(User).where(User.id == user_id).returning(User.id))
    except IntegrityError as error:
        if isinstance(error.orig, ForeignKeyViolation | RestrictViolation):
            raise UserHasPayments(user_id=user_id) from error
        raise
    if deleted is None:
        raise UserNotFound(user_id=user_id)


def unclaimed_users(
    session: Session, key: bytes, *, limit: int = 500, after: UUID | None = None
) -> Sequence[tuple[UUID, str]]:
    """Return ids and addresses of the session's shard that are not claimed under a key.

    Args:
        session: a session of the shard.
        key: its id.
        limit: how many at most.
        after: those whose ids come after this one.
    """
    claimed = select(ClaimOutcome.claim_id).where(
        ClaimOutcome.holder_id == User.id,
        ClaimOutcome.kind == ClaimKind.EMAIL,
        ClaimOutcome.outcome == ClaimResult.USED,
        func.substring(ClaimOutcome.fact, 1, 4) == key,
    )
    statement = select(User.id, User.email).where(~claimed.exists()).order_by(User.id).limit(limit)
    if after is not None:
        statement = statement.where(User.id > after)
    return [(row.id, row.email) for row in session.execute(statement)]


def adopt_email(session: Session, user_id: UUID, email: str, claim: EmailClaim) -> None:
    """Use a claim for the address that an account has.

    Raises:
        ClaimReleased: the account has another address by now, or is gone.
        EmailTaken: somebody else has claimed it here.
        ClaimTooOld: the claim is not new.
    """
    found = session.scalar(select(User.email).where(User.id == user_id).with_for_update())
    if found != email:
        raise ClaimReleased(claim_id=claim.id)
    session.execute(select(func.use_emails(_given((claim,)), user_id, email)))


def get_user(session: Reader, user_id: UUID) -> User:
    """Return a user with the profile.

    Raises:
        UserNotFound: there is none.
    """
    user = session.scalars(
        select(User).where(User.id == user_id).options(joinedload(User.profile))
    ).one_or_none()
    if user is None:
        raise UserNotFound(user_id=user_id)
    return user


def get_user_by_email(session: Reader, email: str) -> User | None:
    """Return the user of an address with the profile, read by ``idx_users_email``.

    Raises:
        InvalidEmail: not an address.
    """
    return session.scalars(
        select(User).where(User.email == normalize_email(email)).options(joinedload(User.profile))
    ).one_or_none()
