"""Registration: an account in its region, and its preferences in MongoDB."""

from __future__ import annotations

from uuid import UUID

from elearning.crud import NewUser, create_user_with_profile
from elearning.flows.platform import Platform
from elearning.flows.relay import deliver_quietly
from elearning.routing import Token

__all__ = ["register"]


async def register(platform: Platform, user: NewUser, *, token: Token | str | None = None) -> UUID:
    """Create an account and return its id.

    The preferences document follows at once where MongoDB answers, and through
    the outbox later where it does not.

    Args:
        platform: the databases.
        user: who registers.
        token: what the caller has written before; grows with what is written here.

    Raises:
        EmailTaken: an account has this address.
        NodeUnavailable: the region's primary does not answer.
    """
    async with platform.session(user.region, token=token) as session, session.begin():
        user_id = await session.run_sync(create_user_with_profile, user)
    await deliver_quietly(platform, platform.engines.home(user.region))
    return user_id
