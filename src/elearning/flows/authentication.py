"""Who somebody is, worldwide: login, and the tokens that are sent by mail.

For an address that nobody has, the same is done as for one that somebody has: as many statements
of the same kind, on the primaries of the shard that knows whose the address is and of one that
could be its owner's, and one comparison with a hash.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from elearning import crud
from elearning.crud import IssuedToken
from elearning.email_hash import email_hash, home_of_hash
from elearning.flows.claims import email_keys
from elearning.flows.platform import Platform
from elearning.ids import parse_id, region_of
from elearning.models import TokenPurpose, User
from elearning.passwords import hash_password
from elearning.regions import Region
from elearning.routing import Consistency, Token
from elearning.text import normalize_email

__all__ = [
    "authenticate",
    "request_email_verification",
    "request_password_reset",
    "reset_password",
    "set_password",
    "verify_email",
]


async def authenticate(
    platform: Platform, email: str, password: str, *, token: Token | str | None = None
) -> User:
    """Let somebody in, and return the account, without its profile.

    The last login is noted, and the password hashed anew where the parameters have changed.

    Args:
        platform: the databases.
        email: the address.
        password: as it was typed.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidEmail: not an address.
        InvalidPassword: it can be nobody's password.
        InvalidCredentials: wrong; it is not told whether the address is.
        AccountNotActive: the password is right, but the account may not be used.
        SettingsError: there is no key to hash addresses with.
        NodeUnavailable: a primary does not answer.
    """
    email, token = normalize_email(email), Token.of(token)
    region = await _home(platform, email)
    async with platform.read_session(region, consistency=Consistency.PRIMARY) as reader:
        found = await reader.run_sync(crud.find_account, email)
    # In a thread, and with no connection in hand.
    user, renewed = await asyncio.to_thread(crud.admit, found, password)
    async with platform.session(region, token=token) as session, session.begin():
        return await session.run_sync(crud.let_in, user, renewed)


async def set_password(
    platform: Platform, user_id: UUID, password: str, *, token: Token | str | None = None
) -> None:
    """Give an account another password, and end its open tokens of password reset.

    Raises:
        InvalidId: not an id of a user.
        InvalidPassword: see `elearning.passwords.check_password`.
        UserNotFound: there is no such account.
        NodeUnavailable: the region's primary does not answer.
    """
    user_id, token = parse_id(user_id), Token.of(token)
    password_hash = await asyncio.to_thread(hash_password, password)
    async with platform.session(token=token) as session, session.begin():
        await session.run_sync(crud.set_password, user_id, password_hash)


async def request_password_reset(
    platform: Platform,
    email: str,
    *,
    lifetime: timedelta | None = None,
    token: Token | str | None = None,
) -> IssuedToken | None:
    """Make a token with which the owner of an address may set another password.

    Tell who asks the same in both cases: a mail is sent if there is such an account.

    Args:
        platform: the databases.
        email: the address.
        lifetime: for how long the token is good; default: an hour.
        token: what the caller has written before; grows with what is written here.

    Returns:
        What is to be mailed; None: nobody has this address.

    Raises:
        InvalidEmail: not an address.
        InvalidText: the lifetime is wrong.
        SettingsError: there is no key to hash addresses with.
        NodeUnavailable: a primary does not answer.
    """
    email, token = normalize_email(email), Token.of(token)
    region = await _home(platform, email)
    async with platform.session(region, token=token) as session, session.begin():
        return await session.run_sync(
            crud.request_user_token, email, TokenPurpose.PASSWORD_RESET, lifetime=lifetime
        )


async def reset_password(
    platform: Platform, text: str, password: str, *, token: Token | str | None = None
) -> UUID:
    """Set another password with what was mailed, and return whose it is.

    Args:
        platform: the databases.
        text: as it came back from the mail.
        password: the new one.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidPassword: see `elearning.passwords.check_password`; the token stays good.
        InvalidUserToken: it is wrong, expired, used or replaced.
        NodeUnavailable: the region's primary does not answer.
    """
    token = Token.of(token)
    crud.check_user_token(text, TokenPurpose.PASSWORD_RESET)
    password_hash = await asyncio.to_thread(hash_password, password)
    async with platform.session(token=token) as session, session.begin():
        return await session.run_sync(crud.reset_password, text, password_hash)


async def request_email_verification(
    platform: Platform,
    user_id: UUID,
    *,
    lifetime: timedelta | None = None,
    token: Token | str | None = None,
) -> IssuedToken:
    """Make a token with which somebody proves to read the account's address.

    Args:
        platform: the databases.
        user_id: whose account.
        lifetime: for how long the token is good; default: three days.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidId: not an id of a user.
        InvalidText: the lifetime is wrong.
        UserNotFound: there is no such account.
        NodeUnavailable: the region's primary does not answer.
    """
    user_id, token = parse_id(user_id), Token.of(token)
    async with platform.session(token=token) as session, session.begin():
        return await session.run_sync(
            crud.create_user_token, user_id, TokenPurpose.EMAIL_VERIFICATION, lifetime=lifetime
        )


async def verify_email(platform: Platform, text: str, *, token: Token | str | None = None) -> UUID:
    """Note that an address is read by who has it, and return whose account it is.

    Args:
        platform: the databases.
        text: as it came back from the mail.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidUserToken: it is wrong, expired, used or replaced, or the address has changed.
        NodeUnavailable: the region's primary does not answer.
    """
    async with platform.session(token=token) as session, session.begin():
        return await session.run_sync(crud.verify_email, text)


async def _home(platform: Platform, email: str) -> Region:
    """Return a region of the shard where an address's account is, or could be if it has none."""
    keys = email_keys(platform)
    if not keys:
        return platform.settings.shards[0].regions[0]
    fact = email_hash(keys[0], email)
    there = home_of_hash(fact)
    async with platform.read_session(there, consistency=Consistency.PRIMARY) as reader:
        holder = await reader.run_sync(crud.find_holder, fact)
    if holder is not None:
        return region_of(holder)
    # By the hash: always the same, and nobody without the key can tell which.
    return Region.from_code(int.from_bytes(fact[4:6]) % len(Region) + 1)
