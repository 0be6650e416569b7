"""Brings to MongoDB what the shards' outboxes hold.

A message is written in the transaction whose consequence it is, so nothing is
lost; it is deleted in the transaction that delivered it, and every delivery can
be repeated, so nothing is doubled.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from pymongo.errors import PyMongoError
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from elearning.documents import CourseContent, Preferences, UserPreferences, insert_once
from elearning.errors import NodeUnavailable
from elearning.flows.platform import Platform
from elearning.models import OutboxMessage

__all__ = ["deliver", "deliver_all", "deliver_quietly"]

logger = logging.getLogger("elearning.relay")


async def _user_registered(payload: dict[str, Any]) -> None:
    user_id = UUID(payload["user_id"])
    preferences = Preferences.model_validate(payload["preferences"])
    await insert_once(UserPreferences(user_id=user_id, preferences=preferences), user_id=user_id)


async def _lesson_content(payload: dict[str, Any]) -> None:
    content = CourseContent.model_validate(payload)
    await insert_once(content, content_id=content.content_id)


_HANDLERS: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
    "user_registered": _user_registered,
    "lesson_content": _lesson_content,
}


async def deliver(platform: Platform, shard: str, *, limit: int = 100) -> int:
    """Deliver the oldest messages of a shard and return how many were dealt with.

    Messages that another relay holds are skipped. One that cannot be delivered,
    such as one of a newer release, is set aside with its problem, and stops no other.

    Raises:
        NodeUnavailable: a database does not answer; the messages stay.
    """
    region = platform.settings.shard(shard).regions[0]
    async with platform.session(region) as session, session.begin():
        messages = (
            await session.scalars(
                select(OutboxMessage)
                .where(OutboxMessage.problem.is_(None))
                .order_by(OutboxMessage.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
        ).all()
        delivered = []
        for message in messages:
            message.problem = await _problem_of(message)
            if message.problem is None:
                delivered.append(message.id)
        await session.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(delivered)))
    return len(messages)


async def _problem_of(message: OutboxMessage) -> str | None:
    """Deliver a message; return why that cannot be done, or None."""
    try:
        await _HANDLERS[message.topic](message.payload)
    except NodeUnavailable:
        raise
    except Exception as error:
        # Whatever is wrong with this message, the ones behind it must go on.
        logger.exception("message %d, %r, is set aside", message.id, message.topic)
        return f"{type(error).__name__}: {error}"[:1000]
    return None


async def deliver_all(platform: Platform) -> int:
    """Deliver until the outbox of every shard is empty; return how many there were."""
    total = 0
    for shard in platform.settings.shards:
        while shard.regions and (delivered := await deliver(platform, shard.name)):
            total += delivered
    return total


async def deliver_quietly(platform: Platform, shard: str) -> None:
    """Deliver now where that is possible; what is not delivered stays for later."""
    try:
        await deliver(platform, shard)
    except (NodeUnavailable, SQLAlchemyError, PyMongoError) as error:
        # What the caller did is committed: an error here would deny it.
        logger.warning("outbox of shard %s is kept for later: %s", shard, error)
