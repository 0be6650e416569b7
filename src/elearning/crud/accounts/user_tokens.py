"""Secrets that are sent by mail and used once: to reset a password, to verify an address.

A token is 64 characters that go into a URL: the account's id, which leads to its shard, and 32
random bytes. Only the SHA-256 of these is stored, and a token is found by it; so no comparison
takes longer for a token that is nearly right. All operations lock the account first.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from elearning.crud.accounts.user_changes import changed_user
from elearning.crud.statements import FIRST, Executor
from elearning.errors import InvalidId, InvalidText, InvalidUserToken, UserNotFound
from elearning.ids import new_id, region_of
from elearning.models import TokenPurpose, User, UserToken
from elearning.text import checked_choice, normalize_email

__all__ = [
    "LIFETIMES",
    "IssuedToken",
    "check_user_token",
    "create_user_token",
    "end_user_tokens",
    "prune_user_tokens",
    "request_user_token",
    "use_user_token",
    "verify_email",
]

LIFETIMES: Mapping[TokenPurpose, timedelta] = MappingProxyType(
    {
        TokenPurpose.PASSWORD_RESET: timedelta(hours=1),
        TokenPurpose.EMAIL_VERIFICATION: timedelta(days=3),
    }
)
"""How long a token is good by default."""

_LONGEST = timedelta(days=30)
_KEPT = timedelta(days=1)
_ID, _SECRET, _TEXT = 16, 32, 64  # bytes, bytes, characters: three bytes are four characters
# As much for the log of the server as a row, and as little to be read.
_NOTHING = text("SELECT pg_logical_emit_message(true, 'elearning', 'no token')")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token, to be mailed; its text is known here alone.

    Attributes:
        user_id: whose.
        email: the address that it is to be mailed to, and good for.
        purpose: what it is good for.
        expires_at: until when.
        text: what is mailed, 64 characters that go into a URL.
    """

    user_id: UUID
    email: str
    purpose: TokenPurpose
    expires_at: datetime
    text: str = field(repr=False)


def create_user_token(
    session: Session,
    user_id: UUID,
    purpose: TokenPurpose | str,
    *,
    lifetime: timedelta | None = None,
) -> IssuedToken:
    """Make a token for an account; its older ones of the same purpose are good for nothing then.

    Args:
        session: a session.
        user_id: whose.
        purpose: what for.
        lifetime: for how long it is good, 30 days at most; default: that of `LIFETIMES`.

    Raises:
        InvalidText: the purpose or the lifetime is wrong.
        UserNotFound: there is no such account.
    """
    issued = _issue(session, User.id == user_id, _purpose(purpose), lifetime)
    if issued is None:
        raise UserNotFound(user_id=user_id)
    return issued


def request_user_token(
    session: Session,
    email: str,
    purpose: TokenPurpose | str,
    *,
    lifetime: timedelta | None = None,
) -> IssuedToken | None:
    """Make a token for the account of an address, on the session's shard.

    Args:
        session: a session of the user's region.
        email: the address.
        purpose: see `create_user_token`.
        lifetime: see `create_user_token`.

    Returns:
        The token, or None where there is no such account, after as many statements.

    Raises:
        InvalidEmail: not an address.
        InvalidText: the purpose or the lifetime is wrong.
    """
    return _issue(session, User.email == normalize_email(email), _purpose(purpose), lifetime)


def _issue(
    session: Session,
    whose: ColumnElement[bool],
    purpose: TokenPurpose,
    lifetime: timedelta | None,
) -> IssuedToken | None:
    given: object = LIFETIMES[purpose] if lifetime is None else lifetime
    if not isinstance(given, timedelta) or not timedelta(0) < given <= _LONGEST:
        raise InvalidText(field="lifetime", problem=f"{given!r} is no timedelta up to 30 days")
    owner = session.execute(
        select(User.id, User.email).where(whose).with_for_update(key_share=True)
    ).one_or_none()
    end_user_tokens(session, FIRST if owner is None else owner.id, purpose)
    if owner is None:
        session.execute(_NOTHING)
        return None
    secret = secrets.token_bytes(_SECRET)
    expires_at = session.scalars(
        insert(UserToken)
        .values(
            id=new_id(region_of(owner.id)),
            user_id=owner.id,
            purpose=purpose,
            token_hash=_hash(secret),
            email=owner.email,
            expires_at=func.clock_timestamp() + given,
        )
        .returning(UserToken.expires_at)
    ).one()
    written = urlsafe_b64encode(owner.id.bytes + secret).decode()
    return IssuedToken(owner.id, owner.email, purpose, expires_at, written)


def end_user_tokens(session: Session, user_id: UUID, purpose: TokenPurpose | str) -> None:
    """Make an account's open tokens of a purpose good for nothing."""
    session.execute(
        update(UserToken)
        .where(
            UserToken.user_id == user_id,
            UserToken.purpose == _purpose(purpose),
            UserToken.used_at.is_(None),
        )
        .values(used_at=func.clock_timestamp())
    )


def check_user_token(token: str, purpose: TokenPurpose | str) -> UUID:
    """Return whose a token could be; asks no database, and tells no more.

    Raises:
        InvalidText: the purpose is wrong.
        InvalidUserToken: it has not the form of a token.
    """
    return _read(token, _purpose(purpose))[0]


def use_user_token(session: Session, token: str, purpose: TokenPurpose | str) -> UUID:
    """Use a token, once, and return whose it is.

    Args:
        session: a session.
        token: as it came back from the mail.
        purpose: what for.

    Raises:
        InvalidText: the purpose is wrong.
        InvalidUserToken: it is no token, expired, used, replaced by a newer one, or was mailed to
            an address that the account has no more; which of these is not told.
    """
    purpose = _purpose(purpose)
    user_id, secret = _read(token, purpose)
    email = session.scalar(
        select(User.email).where(User.id == user_id).with_for_update(key_share=True)
    )
    used = session.scalar(
        update(UserToken)
        .where(
            UserToken.user_id == user_id,
            UserToken.purpose == purpose,
            UserToken.token_hash == _hash(secret),
            UserToken.email == email,
            UserToken.used_at.is_(None),
            UserToken.expires_at > func.clock_timestamp(),
        )
        .values(used_at=func.clock_timestamp())
        .returning(UserToken.id)
    )
    if used is None:
        raise _invalid(purpose)
    return user_id


def verify_email(session: Session, token: str) -> UUID:
    """Note that an account's address is read by who has it, and return whose it is.

    Raises:
        InvalidUserToken: see `use_user_token`.
    """
    user_id = use_user_token(session, token, TokenPurpose.EMAIL_VERIFICATION)
    verified = func.coalesce(User.email_verified_at, func.clock_timestamp())
    changed_user(session, user_id, email_verified_at=verified)
    return user_id


def prune_user_tokens(executor: Executor, *, limit: int = 10_000) -> int:
    """Forget tokens that expired more than a day ago; return how many.

    Args:
        executor: on a shard.
        limit: how many at most.
    """
    old = select(UserToken.id).where(UserToken.expires_at < func.now() - _KEPT).limit(limit)
    pruned = delete(UserToken).where(UserToken.id.in_(old)).returning(UserToken.id)
    return len(executor.execute(pruned).all())


def _purpose(value: TokenPurpose | str) -> TokenPurpose:
    return checked_choice("purpose", value, TokenPurpose)


def _read(token: str, purpose: TokenPurpose) -> tuple[UUID, bytes]:
    given: object = token
    raw = b""
    if isinstance(given, str) and len(given) == _TEXT:
        with suppress(ValueError):
            raw = b64decode(given, altchars=b"-_", validate=True)
    if len(raw) == _ID + _SECRET:
        user_id = UUID(bytes=raw[:_ID])
        with suppress(InvalidId):
            region_of(user_id)
            return user_id, raw[_ID:]
    raise _invalid(purpose)


def _invalid(purpose: TokenPurpose) -> InvalidUserToken:
    return InvalidUserToken(purpose=purpose.replace("_", " "))


def _hash(secret: bytes) -> bytes:
    return sha256(secret).digest()
