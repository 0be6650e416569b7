"""Accounts: registration, another address, the end; an address is one account's worldwide."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

from elearning import crud
from elearning.crud import NewUser, create_user_with_profile
from elearning.email_hash import email_hash, home_of_hash
from elearning.errors import ElearningError, NodeUnavailable
from elearning.flows import claims
from elearning.flows.platform import Platform
from elearning.flows.relay import deliver_quietly, wake
from elearning.ids import new_id, parse_id, region_of
from elearning.models import User
from elearning.passwords import hash_password
from elearning.routing import Consistency, Token
from elearning.text import normalize_email

__all__ = ["change_email", "delete_user", "get_user_by_email", "register"]


async def register(
    platform: Platform,
    user: NewUser,
    *,
    password: str | None = None,
    token: Token | str | None = None,
) -> UUID:
    """Create an account and return its id.

    The preferences document follows at once where MongoDB answers, and through
    the outbox later where it does not.

    Args:
        platform: the databases.
        user: who registers.
        password: theirs, in place of `NewUser.password_hash`; default: that.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidPassword: see `elearning.passwords.check_password`.
        EmailTaken: an account has this address, in whichever region.
        SettingsError: there is no key to hash addresses with.
        NodeUnavailable: the region's primary does not answer, or that of the shard which knows
            whose the address is. What was claimed by then is settled later.
    """
    token = Token.of(token)
    if password is not None:
        user = replace(user, password_hash=await asyncio.to_thread(hash_password, password))
    user_id = new_id(user.region)
    region = region_of(user_id)
    claimed = await claims.claim_address(platform, region, user_id, user.email)
    try:
        async with platform.session(region, token=token) as session, session.begin():
            await session.run_sync(create_user_with_profile, user, user_id=user_id, claims=claimed)
    except ElearningError as error:
        if not isinstance(error, NodeUnavailable):
            platform.background.start(claims.give_up(platform, claimed, user_id))
        raise
    platform.background.start(claims.confirm_address(platform, claimed, user_id))
    await deliver_quietly(platform, platform.engines.home(region))
    return user_id


async def change_email(
    platform: Platform, user_id: UUID, email: str, *, token: Token | str | None = None
) -> None:
    """Give an account another address; the former one is free for others.

    Args:
        platform: the databases.
        user_id: whose account.
        email: the new address.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidId, InvalidEmail: wrong input.
        UserNotFound: there is no such account.
        EmailTaken: an account has this address, in whichever region.
        SettingsError: there is no key to hash addresses with.
        NodeUnavailable: a primary does not answer.
    """
    user_id, email, token = parse_id(user_id), normalize_email(email), Token.of(token)
    region = region_of(user_id)
    async with platform.read_session(region, consistency=Consistency.PRIMARY) as reader:
        if (await reader.run_sync(crud.get_user, user_id)).email == email:
            return
    claimed = await claims.claim_address(platform, region, user_id, email)
    try:
        async with platform.session(region, token=token) as session, session.begin():
            await session.run_sync(crud.change_email, user_id, email, claimed)
    except ElearningError as error:
        if not isinstance(error, NodeUnavailable):
            platform.background.start(claims.give_up(platform, claimed, user_id))
        raise
    platform.background.start(claims.confirm_address(platform, claimed, user_id))
    wake(platform, platform.engines.home(region))


async def delete_user(
    platform: Platform, user_id: UUID, *, token: Token | str | None = None
) -> None:
    """Delete an account with all that belongs to it; its seats and its address are free again.

    Raises:
        InvalidId: not an id of a user.
        UserNotFound: there is no such account.
        UserHasPayments: it has paid, or teaches.
        NodeUnavailable: the region's primary does not answer.
    """
    user_id = parse_id(user_id)
    region = region_of(user_id)
    async with platform.session(region, token=token) as session, session.begin():
        await session.run_sync(crud.delete_user, user_id)
    wake(platform, platform.engines.home(region))


async def get_user_by_email(
    platform: Platform, email: str, *, token: Token | str | None = None
) -> User | None:
    """Return the user of an address with the profile, wherever in the world; asks two shards.

    Args:
        platform: the databases.
        email: the address.
        token: what the caller has written before.

    Raises:
        InvalidEmail: not an address.
        SettingsError: there is no key to hash addresses with.
        NodeUnavailable: a node does not answer.
    """
    email = normalize_email(email)
    keys = claims.email_keys(platform)
    if keys:
        holder = await _holder(platform, email_hash(keys[0], email), token)
        if holder is None:
            return None
        region = region_of(holder)
    else:
        region = platform.settings.shards[0].regions[0]
    async with platform.read_session(region, token=token) as reader:
        found = await reader.run_sync(crud.get_user_by_email, email)
    if found is None:
        # The claim is a little ahead of the replica.
        async with platform.read_session(region, consistency=Consistency.PRIMARY) as reader:
            found = await reader.run_sync(crud.get_user_by_email, email)
    return found


async def _holder(platform: Platform, fact: bytes, token: Token | str | None) -> UUID | None:
    """Ask the shard that knows, its replica first."""
    for consistency in (Consistency.SESSION, Consistency.PRIMARY):
        async with platform.read_session(
            home_of_hash(fact), consistency=consistency, token=token
        ) as reader:
            holder = await reader.run_sync(crud.find_holder, fact)
        if holder is not None:
            return holder
    return None
