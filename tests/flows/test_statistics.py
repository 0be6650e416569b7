"""Figures of the platform, documents too; and who adds its counters up."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from elearning.config import Settings
from elearning.documents import Documents
from elearning.errors import NodeUnavailable
from elearning.flows import Platform, keep_recovering, platform_statistics, recover
from elearning.models import PlatformCounter, UserStatus, UserType
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound
from tests.models.support import until

PEOPLE = {Region.EUROPE: 3, Region.ASIA: 2}


@pytest.fixture
def people(engines: Engines, platform: Platform) -> None:
    for region, number in PEOPLE.items():
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            UserFactory.create_batch(number, region=region)
            session.commit()


def rows(engines: Engines) -> dict[Region, int]:
    """Return how many rows the counters of shards have."""
    found = {}
    for region in PEOPLE:
        with RoutingSession(engines=engines, region=region, consistency="primary") as session:
            found[region] = session.scalars(select(func.count(PlatformCounter.id))).one()
    return found


@pytest.mark.usefixtures("people")
async def test_platform_statistics(platform: Platform) -> None:
    # MongoDB's own estimate can be off after it was killed, as other tests do.
    before = (await platform_statistics(platform)).documents or 0
    await platform.documents.database["course_content"].insert_many(
        [{"content_id": number} for number in range(2)]
    )
    await platform.documents.database["user_preferences"].insert_one({"user_id": 3})
    found = await platform_statistics(platform, consistency="primary")
    assert found.users == {UserType.STUDENT: {UserStatus.ACTIVE: 5}}
    assert (found.documents, found.missing) == (before + 3, {})


@pytest.mark.usefixtures("people")
async def test_without_mongodb_or_a_shard(settings: Settings, platform: Platform) -> None:
    asia = settings.shard("asia")
    nowhere = replace(asia, primary=asia.primary.set(port=1), replicas=())
    shards = tuple(nowhere if shard is asia else shard for shard in settings.shards)
    mongodb = replace(settings.mongodb, url="mongodb://127.0.0.1:1/?directConnection=true")
    alone = Platform(replace(settings, shards=shards))
    documents = alone.documents
    before = (await platform_statistics(platform)).documents
    try:
        alone.documents = Documents(mongodb, timeout=0.2)
        with pytest.raises(NodeUnavailable, match="asia-primary"):
            await platform_statistics(alone)
        found = await platform_statistics(alone, consistency="primary", on_shard_error="partial")
        assert (found.total_users, found.documents) == (3, None)
        assert sorted(found.missing) == ["asia", "mongodb"]
        await alone.documents.close()
        alone.documents = documents
        found = await platform_statistics(alone, consistency="primary", on_shard_error="partial")
        assert (found.documents, list(found.missing)) == (before, ["asia"])
    finally:
        await alone.close()
    with_shards = Platform(replace(settings, mongodb=mongodb))
    try:
        with pytest.raises(NodeUnavailable, match="mongodb"):
            await platform_statistics(with_shards)
    finally:
        await with_shards.close()
    assert platform.documents.is_bound


@pytest.mark.usefixtures("people")
async def test_recovering_adds_counters_up(platform: Platform, engines: Engines) -> None:
    before = await platform_statistics(platform, consistency="primary")
    assert rows(engines) == PEOPLE
    done = await recover(platform)
    assert (done.folded, done.problems) == (3, [])
    assert rows(engines) == dict.fromkeys(PEOPLE, 1)
    assert await platform_statistics(platform, consistency="primary") == before
    assert (await recover(platform)).folded == 0


@pytest.mark.usefixtures("people")
async def test_who_keeps_recovering_keeps_adding_up(platform: Platform, engines: Engines) -> None:
    running = asyncio.create_task(keep_recovering(platform, every=0.01))
    try:
        await asyncio.to_thread(until, lambda: rows(engines) == dict.fromkeys(PEOPLE, 1))
    finally:
        running.cancel()
    assert await asyncio.gather(running, return_exceptions=True)
