"""Passwords of accounts on one shard; worldwide: `elearning.flows.authenticate`."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from elearning.crud.accounts.user_changes import changed_user
from elearning.crud.accounts.user_fields import checked_fields
from elearning.crud.accounts.user_tokens import end_user_tokens, use_user_token
from elearning.errors import AccountNotActive, InvalidCredentials
from elearning.models import TokenPurpose, User, UserStatus
from elearning.passwords import renewed_hash, verify_password
from elearning.routing import Reader
from elearning.text import normalize_email

__all__ = ["admit", "authenticate", "find_account", "let_in", "reset_password", "set_password"]


def set_password(session: Session, user_id: UUID, password_hash: str | None) -> None:
    """Give an account another password, and end its open tokens of password reset.

    Args:
        session: a session.
        user_id: whose.
        password_hash: made by `elearning.passwords.hash_password`; None: no login by password.

    Raises:
        InvalidText: not a hash.
        UserNotFound: there is no such account.
    """
    changed_user(session, user_id, **checked_fields({"password_hash": password_hash}))
    end_user_tokens(session, user_id, TokenPurpose.PASSWORD_RESET)


def reset_password(session: Session, token: str, password_hash: str) -> UUID:
    """Use a token of password reset, set the password, and return whose it is.

    Args:
        session: a session.
        token: as it came back from the mail.
        password_hash: made by `elearning.passwords.hash_password`.

    Raises:
        InvalidText: not a hash.
        InvalidUserToken: see `use_user_token`.
    """
    checked_fields({"password_hash": password_hash})
    user_id = use_user_token(session, token, TokenPurpose.PASSWORD_RESET)
    set_password(session, user_id, password_hash)
    return user_id


def authenticate(session: Session, email: str, password: str) -> User:
    """Let somebody in whose account is on the session's shard, and return the account.

    The last login is noted, and the password hashed anew where the parameters have changed.

    Args:
        session: a session of the user's region.
        email: the address.
        password: as it was typed.

    Raises:
        InvalidEmail: not an address.
        InvalidPassword: it can be nobody's password.
        InvalidCredentials: wrong; it is not told whether the address is.
        AccountNotActive: the password is right, but the account may not be used.
    """
    # A replica may not know yet that the password was changed, or the account suspended.
    session.connection()
    found = find_account(session, email)
    user, renewed = admit(found, password)
    return let_in(session, user, renewed)


def find_account(session: Reader, email: str) -> User | None:
    """Return the account of an address, without its profile.

    Raises:
        InvalidEmail: not an address.
    """
    return session.scalars(select(User).where(User.email == normalize_email(email))).one_or_none()


def admit(user: User | None, password: str) -> tuple[User, str | None]:
    """Compare the password, also where there is nobody; asks no database.

    Args:
        user: whose address it is, if it is anybody's.
        password: as it was typed.

    Returns:
        Who may come in, and a new hash where the parameters have changed.

    Raises:
        InvalidPassword, InvalidCredentials, AccountNotActive: see `authenticate`.
    """
    stored = None if user is None else user.password_hash
    right = verify_password(password, stored)
    if user is None or stored is None or not right:
        raise InvalidCredentials
    if user.status is not UserStatus.ACTIVE:
        raise AccountNotActive(user_id=user.id, status=user.status.value)
    return user, renewed_hash(password, stored)


def let_in(session: Session, user: User, renewed: str | None = None) -> User:
    """Note the login of an account that was admitted, and return it.

    Args:
        session: a session.
        user: the account as it was then.
        renewed: a new hash of the same password.

    Raises:
        InvalidCredentials: meanwhile it is gone, has another password or may not be used.
    """
    values = {} if renewed is None else {"password_hash": renewed}
    entered = session.scalars(
        update(User)
        .where(
            User.id == user.id,
            User.password_hash == user.password_hash,
            User.status == UserStatus.ACTIVE,
        )
        .values(last_login=func.clock_timestamp(), **values)
        .returning(User),
        execution_options={"populate_existing": True, "synchronize_session": False},
    ).one_or_none()
    if entered is None:
        raise InvalidCredentials
    return entered
