from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from elearning.cluster.embedded import EmbeddedCluster
from elearning.crud import get_user, get_user_by_email
from elearning.documents import DifficultyLevel, LearningPreferences, Preferences, UserPreferences
from elearning.errors import (
    ElearningError,
    EmailTaken,
    InvalidEmail,
    InvalidText,
    UnknownRegion,
)
from elearning.flows import NewUser, Platform, deliver_all, register
from elearning.ids import region_of
from elearning.models import OutboxMessage, User
from elearning.regions import Region
from elearning.routing import Token
from tests.snapshots import Snapshot


def newcomer(**changes: Any) -> NewUser:
    values: dict[str, Any] = {
        "region": "europe",
        "email": "Ada@Example.com",
        "first_name": " Ada ",
        "last_name": "Lovelace",
    }
    return NewUser(**values | changes)


def liking(category: str) -> Preferences:
    return Preferences(learning=LearningPreferences(preferred_categories=[category]))


def tampered() -> Preferences:
    preferences = Preferences()
    preferences.wishlist.append("course-17")  # type: ignore[arg-type]
    return preferences


async def test_registration_in_every_region(platform: Platform, region: Region) -> None:
    preferences = Preferences(
        learning=LearningPreferences(
            preferred_categories=["prog"], difficulty_level=DifficultyLevel.ADVANCED
        )
    )
    user_id = await register(
        platform,
        newcomer(
            region=region,
            country="GB",
            bio="x",
            preferences=preferences,
            date_of_birth=date(1990, 1, 1),
        ),
    )
    assert region_of(user_id) is region
    async with platform.session(region, consistency="primary") as session:
        user = await session.run_sync(get_user, user_id)
        left = await session.scalar(select(func.count()).select_from(OutboxMessage))
    assert (user.email, user.first_name, user.region) == ("ada@example.com", "Ada", region)
    assert user.profile is not None
    assert (user.profile.country, user.profile.bio) == ("GB", "x")
    assert region_of(user.profile.id) is region
    document = await UserPreferences.find_one({"user_id": user_id})
    assert document is not None
    assert document.preferences == preferences
    assert left == 0


@pytest.mark.parametrize("token", [5, "nonsense"])
async def test_a_wrong_token_is_refused_before_anything_is_written(
    platform: Platform, snapshot: Snapshot, token: Any
) -> None:
    before = snapshot()
    with pytest.raises(InvalidText, match="no consistency token"):
        await register(platform, newcomer(), token=token)
    assert snapshot() == before
    assert region_of(await register(platform, newcomer(), token=None)) is Region.EUROPE


async def test_a_registration_that_is_cancelled_ends_as_nothing_else(platform: Platform) -> None:
    for moment in (0.0, 0.001, 0.003, 0.006, 0.01, 0.02):
        task = asyncio.create_task(register(platform, newcomer(email=f"u{moment}@example.com")))
        await asyncio.wait({task}, timeout=moment)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        # Python 3.11's wait_for, in the driver, loses a cancellation that comes together
        # with the answer: then the registration is done.
        assert isinstance(result, UUID | asyncio.CancelledError), result
    # Whoever was stored gets the document.
    await deliver_all(platform)
    async with platform.session("europe", consistency="primary") as session:
        users = set(await session.scalars(select(User.id)))
    assert {each.user_id async for each in UserPreferences.find_all()} == users


async def test_the_user_is_on_no_other_shard(platform: Platform) -> None:
    await register(platform, newcomer())
    for other in (Region.ASIA, Region.NORTH_AMERICA):
        async with platform.session(other, consistency="primary") as session:
            assert await session.scalar(select(func.count()).select_from(User)) == 0


async def test_read_path_by_email(platform: Platform) -> None:
    user_id = await register(platform, newcomer(city="London"))
    async with platform.session("europe", consistency="primary") as session:
        found = await session.run_sync(get_user_by_email, "  ADA@example.com")
        assert found is not None
        assert found.id == user_id
        assert found.profile is not None
        assert found.to_dict()["email"] == "ada@example.com"
        assert found.profile.to_dict()["city"] == "London"
        assert await session.run_sync(get_user_by_email, "nobody@example.com") is None


async def test_a_token_carries_a_flow_to_the_next_read(platform: Platform) -> None:
    for number in range(30):
        token = Token()
        user_id = await register(platform, newcomer(email=f"u{number}@example.com"), token=token)
        async with platform.session(token=str(token)) as session:
            assert await session.get(User, user_id), number
        async with platform.session("africa", token=token) as session:
            before = Token(token)
            await session.execute(update(User).values(last_login=func.now()))
            await session.commit()
        assert token["eu"] > before["eu"]


async def test_a_taken_address(platform: Platform, snapshot: Snapshot) -> None:
    await register(platform, newcomer())
    before = snapshot()
    with pytest.raises(EmailTaken, match=r"'ada@example\.com' belongs to an account"):
        await register(platform, newcomer(email="ADA@example.COM", region="africa"))
    assert snapshot() == before


async def test_one_of_many_registrations_at_once_wins(platform: Platform) -> None:
    results = await asyncio.gather(
        *(register(platform, newcomer()) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, EmailTaken) for result in results) == 7
    assert await UserPreferences.count() == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"region": "atlantis"}, UnknownRegion),
        ({"region": ""}, UnknownRegion),
        ({"email": "ada"}, InvalidEmail),
        ({"email": "ada@example.com\x00"}, InvalidEmail),
        ({"first_name": ""}, InvalidText),
        ({"last_name": "x" * 101}, InvalidText),
        ({"last_name": "a\x00b"}, InvalidText),
        ({"password_hash": "secret"}, InvalidText),
        ({"country": "gb"}, InvalidText),
        ({"country": "GBR"}, InvalidText),
        ({"user_type": "wizard"}, InvalidText),
        ({"city": 5}, InvalidText),
        ({"first_name": None}, InvalidText),
        ({"time_zone": None}, InvalidText),
        ({"password_hash": 7}, InvalidText),
        ({"password_hash": "$secret\x00"}, InvalidText),
        ({"country": 7}, InvalidText),
        ({"date_of_birth": "1990-01-01"}, InvalidText),
        ({"date_of_birth": datetime(1990, 1, 1, tzinfo=UTC)}, InvalidText),
        ({"email": "a\ud800@example.com"}, InvalidEmail),
        ({"preferences": None}, InvalidText),
        ({"preferences": {}}, InvalidText),
        ({"preferences": tampered()}, InvalidText),
        ({"preferences": liking("x" * 100_000)}, InvalidText),
        ({"preferences": liking("a\x00b")}, InvalidText),
        ({"preferences": liking("\ud800")}, InvalidText),
    ],
)
def test_wrong_input_is_refused_when_it_is_made(
    changes: dict[str, Any], error: type[ElearningError]
) -> None:
    with pytest.raises(error) as caught:
        newcomer(**changes)
    assert "secret" not in str(caught.value)


def test_no_password_hash_in_the_repr() -> None:
    assert "$argon2" not in repr(newcomer(password_hash="$argon2id$x"))


async def test_mongodb_down_delays_the_preferences_and_loses_nothing(
    platform: Platform, cluster: EmbeddedCluster, caplog: pytest.LogCaptureFixture
) -> None:
    mongodb = cluster.node("mongodb")
    mongodb.kill()
    try:
        with caplog.at_level(logging.WARNING, "elearning.relay"):
            user_id = await register(platform, newcomer())
    finally:
        mongodb.start()
    assert "outbox of shard eu is kept for later" in caplog.text
    async with platform.session("europe", consistency="primary") as session:
        assert await session.scalar(select(func.count()).select_from(OutboxMessage)) == 1
    assert await deliver_all(platform) == 1
    assert await UserPreferences.find_one({"user_id": user_id})
    assert await deliver_all(platform) == 0
