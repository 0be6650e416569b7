"""Brings to others what the shards' outboxes hold: to MongoDB, and to other shards.

A message is written in the transaction whose consequence it is, so nothing is
lost; it is deleted in the transaction that delivered it, and every delivery can
be repeated, so nothing is doubled. What cannot be delivered because somebody does not
answer stays, and keeps nothing else from going out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bson.errors import BSONError
from sqlalchemy import Connection, delete, exists, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from elearning.crud import find_claim, release_claim
from elearning.documents import (
    CourseContent,
    Preferences,
    UserPreferences,
    insert_once,
    mongo_errors,
)
from elearning.errors import ElearningError
from elearning.flows.claims import settle
from elearning.flows.platform import Platform
from elearning.models import ClaimStatus, OutboxMessage

__all__ = ["count_set_aside", "deliver", "deliver_all", "deliver_quietly", "wake"]

logger = logging.getLogger("elearning.relay")


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A message on its way: the databases, where it was written, and what it says."""

    platform: Platform
    shard: str
    payload: dict[str, Any]


async def _user_registered(delivery: _Delivery) -> None:
    user_id = UUID(delivery.payload["user_id"])
    preferences = Preferences.model_validate(delivery.payload["preferences"])
    await insert_once(UserPreferences(user_id=user_id, preferences=preferences), user_id=user_id)


async def _user_deleted(delivery: _Delivery) -> None:
    with mongo_errors():
        await UserPreferences.find({"user_id": UUID(delivery.payload["user_id"])}).delete()


async def _lesson_content(delivery: _Delivery) -> None:
    content = CourseContent.model_validate(delivery.payload)
    await insert_once(content, content_id=content.content_id)


async def _claim_released(delivery: _Delivery) -> None:
    home = delivery.platform.engines.home(delivery.payload["home"])
    await delivery.platform.on_primary(home, release_claim, UUID(delivery.payload["claim_id"]))
    # The seat may have gone to somebody who waits.
    wake(delivery.platform, home)


async def _seat_offered(delivery: _Delivery) -> None:
    claim = await delivery.platform.on_primary(
        delivery.shard, find_claim, UUID(delivery.payload["claim_id"])
    )
    if claim is not None and claim.status is ClaimStatus.PENDING:
        await settle(delivery.platform, claim)
        wake(delivery.platform, delivery.shard)


_HANDLERS: dict[str, Callable[[_Delivery], Awaitable[None]]] = {
    "user_registered": _user_registered,
    "user_deleted": _user_deleted,
    "lesson_content": _lesson_content,
    "claim_released": _claim_released,
    "seat_offered": _seat_offered,
}
_STRANGE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, BSONError)
"""What a message makes that is not as its handler expects; all else says nothing about it."""
_FOR_MONGODB = frozenset({"user_registered", "user_deleted", "lesson_content"})


async def deliver(platform: Platform, shard: str, *, limit: int = 100) -> int:
    """Deliver the oldest messages of a shard and return how many were dealt with.

    Messages that another relay holds are skipped. One that cannot be delivered,
    such as one of a newer release, is set aside with its problem, and stops no other.

    Raises:
        NodeUnavailable: a database does not answer; its messages stay, the others are out. So
            it is with whatever else is wrong with a database.
    """
    batch = await _deliver_batch(platform, shard, limit, after=0)
    if batch.unavailable is not None:
        raise batch.unavailable
    return batch.delivered


@dataclass(slots=True)
class _Batch:
    """Some messages: how many were dealt with, the last one, and who did not answer."""

    delivered: int = 0
    last: int | None = None
    unavailable: Exception | None = None


async def _deliver_batch(platform: Platform, shard: str, limit: int, *, after: int) -> _Batch:
    region = platform.settings.shard(shard).regions[0]
    batch = _Batch()
    async with platform.session(region) as session, session.begin():
        messages = (
            await session.scalars(
                select(OutboxMessage)
                .where(OutboxMessage.problem.is_(None), OutboxMessage.id > after)
                .order_by(OutboxMessage.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
        ).all()
        out = await _deliver_each(platform, shard, session, messages, batch)
        await session.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(out)))
    return batch


async def _deliver_each(
    platform: Platform,
    shard: str,
    session: AsyncSession,
    messages: Sequence[OutboxMessage],
    batch: _Batch,
) -> list[int]:
    out: list[int] = []
    mongodb_answers = True
    for message in messages:
        batch.last = message.id
        if message.topic in _FOR_MONGODB and not mongodb_answers:
            # The driver would wait for it each time.
            continue
        try:
            if await _comes_later(session, message, out):
                continue
            message.problem = await _problem_of(platform, shard, message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the others go on
            mongodb_answers = mongodb_answers and message.topic not in _FOR_MONGODB
            batch.unavailable = batch.unavailable or error
            continue
        batch.delivered += 1
        if message.problem is None:
            out.append(message.id)
    return out


async def _comes_later(session: AsyncSession, message: OutboxMessage, out: list[int]) -> bool:
    """Tell whether preferences are still to be made that a message is about to delete."""
    if message.topic != "user_deleted":
        return False
    before = exists().where(
        OutboxMessage.topic == "user_registered",
        OutboxMessage.payload["user_id"].astext == str(message.payload.get("user_id")),
        OutboxMessage.problem.is_(None),
        OutboxMessage.id < message.id,
        OutboxMessage.id.not_in(out),
    )
    return bool(await session.scalar(select(before)))


async def _problem_of(platform: Platform, shard: str, message: OutboxMessage) -> str | None:
    """Deliver a message; return why that cannot be done, or None."""
    try:
        await _HANDLERS[message.topic](_Delivery(platform, shard, message.payload))
    except _STRANGE as error:
        # Such as one of a newer release; the ones behind it must go on.
        logger.exception("message %d, %r, is set aside", message.id, message.topic)
        return f"{type(error).__name__}: {error}"[:1000]
    return None


async def deliver_all(platform: Platform, *, limit: int = 100) -> int:
    """Deliver until every outbox holds no more than what cannot be delivered; return how many.

    Raises:
        NodeUnavailable: a database does not answer; its messages stay, the others are out. So
            it is with whatever else is wrong with a database.
    """
    total = 0
    unavailable: Exception | None = None
    for shard in platform.settings.shards:
        last: int | None = 0 if shard.regions else None
        while last is not None:
            try:
                batch = await _deliver_batch(platform, shard.name, limit, after=last)
            except (ElearningError, SQLAlchemyError) as error:
                unavailable = unavailable or error
                break
            total += batch.delivered
            last = batch.last
            unavailable = unavailable or batch.unavailable
    if unavailable is not None:
        raise unavailable
    return total


async def deliver_quietly(platform: Platform, shard: str) -> None:
    """Deliver now where that is possible; what is not delivered stays for later."""
    try:
        await deliver(platform, shard)
    except Exception as error:  # noqa: BLE001 - what the caller did is committed, and an error
        # here would deny it.
        logger.warning("outbox of shard %s is kept for later: %s", shard, error)


def count_set_aside(executor: Connection) -> int:
    """Return how many messages of a shard cannot be delivered."""
    aside = select(func.count()).where(OutboxMessage.problem.is_not(None))
    number: int = executor.execute(aside).scalar_one()
    return number


def wake(platform: Platform, shard: str) -> None:
    """Deliver a shard's messages in the background."""
    platform.background.start_once(shard, lambda: deliver_quietly(platform, shard))
