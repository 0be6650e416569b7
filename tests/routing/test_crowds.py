"""Many at once on small pools: nobody waits for ever, and nobody starves the others."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import monotonic
from uuid import UUID

import pytest
from sqlalchemy import select, text

from elearning.config import Settings
from elearning.errors import NodeUnavailable, PoolExhausted
from elearning.flows import Platform
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from elearning.testing.proxies import Proxies
from tests.routing.loss import new_user, taking_at_most, with_limits

pytestmark = pytest.mark.usefixtures("empty_databases")

REGIONS = ("north_america", "europe", "asia")


@pytest.fixture
def users(engines: Engines) -> dict[str, UUID]:
    return {region: new_user(engines, region) for region in REGIONS}


def test_reading_several_shards_in_one_session_takes_one_connection_at_a_time(
    settings: Settings, users: dict[str, UUID]
) -> None:
    # Each would hold one connection and wait for another, in a circle.
    def visit(seed: int) -> None:
        order = list(users.values())
        Random(seed).shuffle(order)
        with RoutingSession(engines=engines) as session:
            for user_id in (*order, *order[:1]):
                assert session.get_one(User, user_id).id == user_id
                session.expire_all()

    with (
        Engines(settings, pool_size=1, pool_timeout=20) as engines,
        ThreadPoolExecutor(24) as threads,
        taking_at_most(20),
    ):
        for each in [threads.submit(visit, seed) for seed in range(96)]:
            each.result()


def test_rows_of_a_shard_are_there_after_another_was_read(
    settings: Settings, users: dict[str, UUID]
) -> None:
    with Engines(settings) as engines, RoutingSession(engines=engines, region="europe") as session:
        rows = session.execute(select(User.id))
        assert session.get(User, users["asia"])
        assert rows.scalars().all() == [users["europe"]]
        # A stream would be cut off: its connection stays.
        stream = session.execute(select(User.id), execution_options={"yield_per": 1})
        assert session.get(User, users["asia"])
        assert stream.scalars().all() == [users["europe"]]
        assert session.in_transaction()
        with session.begin_nested():
            assert session.get(User, users["europe"])


def test_a_transaction_that_was_begun_is_not_ended_by_reading_elsewhere(
    settings: Settings, users: dict[str, UUID]
) -> None:
    with Engines(settings) as engines, RoutingSession(engines=engines) as session:
        with session.begin() as transaction:
            for user_id in users.values():
                session.get_one(User, user_id)
            assert session.get_transaction() is transaction
        assert not session.in_transaction()


def test_a_pool_that_is_exhausted_says_so(settings: Settings) -> None:
    with (
        Engines(settings, pool_size=1, pool_timeout=0.1) as engines,
        RoutingSession(engines=engines, region="europe") as first,
        RoutingSession(engines=engines, region="europe") as second,
    ):
        first.connection()
        with pytest.raises(PoolExhausted, match="eu-primary: all 1 connections were in use for 0"):
            second.connection()
        first.close()
        second.rollback()
        assert second.scalar(text("SELECT 1")) == 1


# All in one loop: traced, it has no time for its connections.
@pytest.mark.unmeasured
async def test_two_hundred_tasks_and_a_shard_that_hangs(
    proxies: Proxies, users: dict[str, UUID]
) -> None:
    settings = with_limits(proxies.settings)
    times: dict[str, list[float]] = {region: [] for region in REGIONS}

    async def visit(platform: Platform, seed: int) -> None:
        random = Random(seed)
        for _ in range(4):
            region = random.choice(REGIONS)
            start = monotonic()
            try:
                async with platform.session(region) as session:
                    user = await session.get_one(User, users[region])
                    user.first_name = f"Name {random.random()}"
                    await session.rollback()
                    await session.execute(text("SELECT 1"))
            except NodeUnavailable as error:
                # Whoever meets another shard's node would raise.
                assert str(error.values["node"]).startswith("asia"), error  # noqa: PT017
                assert region == "asia"
            times[region].append(monotonic() - start)

    async with Platform(settings) as platform:
        await asyncio.gather(*(visit(platform, seed) for seed in range(200)))
        assert sum(map(len, times.values())) == 800
        for each in times.values():
            each.clear()
        proxies["asia-primary"].silence()
        proxies["asia-replica-1"].silence()
        with taking_at_most(20):
            await asyncio.gather(*(visit(platform, seed) for seed in range(200)))
        proxies["asia-primary"].speak()
        proxies["asia-replica-1"].speak()
    assert sum(map(len, times.values())) == 800
    # Both nodes of the shard in a row, and the others as if nothing was.
    assert max(times["asia"]) < 7
