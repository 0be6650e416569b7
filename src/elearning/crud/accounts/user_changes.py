"""Accounts: what they may do, whether they may be used, and when they were."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from elearning.errors import AccountNotActive, UserNotFound
from elearning.models import User, UserStatus, UserType
from elearning.routing import Reader
from elearning.text import checked_choice

__all__ = [
    "changed_user",
    "note_login",
    "refuse_inactive",
    "require_active",
    "set_status",
    "set_user_type",
]


def changed_user(session: Session, user_id: UUID, **values: Any) -> User:
    """Change columns of an account that are checked already, and return it.

    Raises:
        UserNotFound: there is no such account.
    """
    user = session.scalars(
        update(User).where(User.id == user_id).values(**values).returning(User),
        execution_options={"populate_existing": True, "synchronize_session": False},
    ).one_or_none()
    if user is None:
        raise UserNotFound(user_id=user_id)
    return user


def set_user_type(session: Session, user_id: UUID, user_type: UserType | str) -> User:
    """Give an account a role: student, instructor or admin; return the account.

    Raises:
        InvalidText: there is no such role.
        UserNotFound: there is no such account.
    """
    role = checked_choice("user_type", user_type, UserType)
    return changed_user(session, user_id, user_type=role)


def set_status(session: Session, user_id: UUID, status: UserStatus | str) -> User:
    """Make an account active, inactive or suspended; return the account.

    Raises:
        InvalidText: there is no such status.
        UserNotFound: there is no such account.
    """
    return changed_user(session, user_id, status=checked_choice("status", status, UserStatus))


def note_login(session: Session, user_id: UUID) -> User:
    """Set the moment of an account's last login to now; return the account.

    Raises:
        UserNotFound: there is no such account.
    """
    return changed_user(session, user_id, last_login=func.clock_timestamp())


def require_active(session: Reader, user_id: UUID) -> None:
    """Check that an account may be used.

    Raises:
        UserNotFound: there is no such account.
        AccountNotActive: it is inactive or suspended.
    """
    refuse_inactive(user_id, session.scalar(select(User.status).where(User.id == user_id)))


def refuse_inactive(user_id: UUID, status: UserStatus | None) -> None:
    """Refuse an account of another status than active; None: there is no such account."""
    if status is None:
        raise UserNotFound(user_id=user_id)
    if status is not UserStatus.ACTIVE:
        raise AccountNotActive(user_id=user_id, status=status.value)
