from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from elearning.documents import UserPreferences
from elearning.flows import Platform, deliver, deliver_all
from elearning.ids import new_id
from elearning.models import OutboxMessage


async def write(platform: Platform, user_id: UUID, times: int = 1) -> None:
    payload = {"user_id": str(user_id), "preferences": {}}
    async with platform.session("europe") as session, session.begin():
        await session.execute(
            insert(OutboxMessage), [{"topic": "user_registered", "payload": payload}] * times
        )


async def test_a_message_delivered_twice_makes_one_document(platform: Platform) -> None:
    user_id = new_id("europe")
    await write(platform, user_id, times=3)
    assert await deliver_all(platform) == 3
    assert await UserPreferences.find({"user_id": user_id}).count() == 1


async def test_a_delivery_does_not_overwrite_what_the_user_changed(platform: Platform) -> None:
    user_id = new_id("europe")
    await write(platform, user_id)
    await deliver_all(platform)
    document = await UserPreferences.find_one({"user_id": user_id})
    assert document is not None
    document.preferences.notifications.push = True
    await document.save()
    await write(platform, user_id)
    await deliver_all(platform)
    again = await UserPreferences.find_one({"user_id": user_id})
    assert again is not None
    assert again.preferences.notifications.push


async def test_relays_share_the_work(platform: Platform) -> None:
    users = [new_id("europe") for _ in range(30)]
    for user_id in users:
        await write(platform, user_id)
    done = await asyncio.gather(*(deliver(platform, "eu", limit=10) for _ in range(5)))
    rest = await deliver_all(platform)
    assert sum(done) + rest == 30
    assert await UserPreferences.count() == 30


async def test_a_limit_takes_the_oldest(platform: Platform) -> None:
    users = [new_id("europe") for _ in range(3)]
    for user_id in users:
        await write(platform, user_id)
    assert await deliver(platform, "eu", limit=2) == 2
    delivered = {each.user_id async for each in UserPreferences.find_all()}
    assert delivered == set(users[:2])


async def test_a_message_that_cannot_be_delivered_is_set_aside(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    user_id = new_id("europe")
    async with platform.session("europe") as session, session.begin():
        await session.execute(
            insert(OutboxMessage),
            [
                {"topic": "of_a_newer_release", "payload": {}},
                {"topic": "user_registered", "payload": {"user_id": "x", "preferences": {}}},
            ],
        )
    await write(platform, user_id)
    assert await deliver_all(platform) == 3
    assert await UserPreferences.find_one({"user_id": user_id})
    async with platform.session("europe", consistency="primary") as session:
        left = (await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id))).all()
    assert [message.problem and message.problem.split(":")[0] for message in left] == [
        "KeyError",
        "ValueError",
    ]
    assert caplog.text.count("is set aside") == 2
    assert await deliver_all(platform) == 0
