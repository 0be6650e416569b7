from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from pymongo.errors import InvalidOperation
from sqlalchemy import insert, select

from elearning.documents import UserPreferences
from elearning.flows import Platform, deliver, deliver_all, recover
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
    # What MongoDB's driver cannot write, as it is in the year 0 of UTC.
    content = {name: str(new_id("europe")) for name in ("content_id", "course_id", "lesson_id")}
    content |= {
        "content_type": "video",
        "video_url": "u",
        "created_at": "0001-01-01T00:00:00+14:00",
    }
    async with platform.session("europe") as session, session.begin():
        await session.execute(
            insert(OutboxMessage),
            [
                {"topic": "of_a_newer_release", "payload": {}},
                {"topic": "user_registered", "payload": {"user_id": "x", "preferences": {}}},
                {"topic": "lesson_content", "payload": content},
            ],
        )
    await write(platform, user_id)
    assert await deliver_all(platform) == 4
    assert await UserPreferences.find_one({"user_id": user_id})
    async with platform.session("europe", consistency="primary") as session:
        left = (await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id))).all()
    assert [message.problem and message.problem.split(":")[0] for message in left] == [
        "KeyError",
        "ValueError",
        "OverflowError",
    ]
    assert caplog.text.count("is set aside") == 3
    assert await deliver_all(platform) == 0


async def test_a_message_that_says_nothing_is_set_aside_and_stops_no_other(
    platform: Platform,
) -> None:
    user_id = new_id("europe")
    async with platform.session("europe") as session, session.begin():
        for payload in ({}, {"user_id": None}, {"user_id": "nobody"}):
            session.add(OutboxMessage(topic="user_deleted", payload=payload))
        session.add(
            OutboxMessage(topic="claim_released", payload={"claim_id": "x", "home": "moon"})
        )
    await write(platform, user_id)
    assert await deliver_all(platform) == 5
    assert await UserPreferences.find({"user_id": user_id}).count() == 1
    done = await recover(platform)
    (problem,) = done.problems
    assert problem.startswith("4 message(s) in the outbox of shard eu are set aside")
    async with platform.session("europe") as session:
        aside = (await session.scalars(select(OutboxMessage.problem))).all()
    assert all(aside)
    assert len(aside) == 4


async def test_an_error_that_is_not_the_message_s_keeps_it(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a client that is closed already: the message goes out later."""
    user_id = new_id("europe")
    await write(platform, user_id)

    async def closed(*_: object, **__: object) -> None:
        message = "Cannot use AsyncMongoClient after close"
        raise InvalidOperation(message)

    with monkeypatch.context() as patch:
        patch.setattr("elearning.flows.relay.insert_once", closed)
        with pytest.raises(InvalidOperation):
            await deliver_all(platform)
        assert any("after close" in problem for problem in (await recover(platform)).problems)
    assert await deliver_all(platform) == 1
    assert await UserPreferences.find({"user_id": user_id}).count() == 1


async def test_preferences_are_not_made_after_they_were_deleted(platform: Platform) -> None:
    user_id = new_id("europe")
    async with platform.session("europe") as session, session.begin():
        payload = {"user_id": str(user_id)}
        session.add(OutboxMessage(topic="user_registered", payload=payload | {"preferences": {}}))
        await session.flush()
        session.add(OutboxMessage(topic="user_deleted", payload=payload))
    async with platform.session("europe") as holder, holder.begin():
        first = select(OutboxMessage).order_by(OutboxMessage.id).limit(1).with_for_update()
        assert await holder.scalar(first)
        # Another relay has the registration in hand: the deletion waits for it.
        assert await deliver_all(platform) == 0
    assert await deliver_all(platform) == 2
    assert await UserPreferences.find({"user_id": user_id}).count() == 0
