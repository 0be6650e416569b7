"""All shards at once, where each is 40 ms away."""

from __future__ import annotations

import asyncio

from rich.table import Table
from sqlalchemy import select
from sqlalchemy.ext.horizontal_shard import ShardedSession

from benchmarks.people import people
from benchmarks.timing import measure, measure_async, ratios
from elearning.models import User
from elearning.regions import Region
from elearning.routing import AsyncRoutingSession, Engines, RoutingSession
from elearning.routing.fanout import fan_out, fan_out_async
from elearning.testing.proxies import Proxies

ROUNDS = 25
WARM_UP = 10  # so that statements are prepared, which takes a round trip
EACH = 20  # users in a region
ONE_WAY = 0.02  # seconds; a round trip takes two of them

_NEWEST = select(User).order_by(User.created_at.desc(), User.id.desc()).limit(EACH)
_ONE, _ALL, _SHARDED = "one shard, RoutingSession", "three shards, fan_out", "ShardedSession"
_ASYNC_ONE, _ASYNC_ALL = "one shard, AsyncRoutingSession", "three shards, fan_out_async"


def three_shards(engines: Engines) -> Table:
    """Read the newest users of one shard, and of all."""
    for region in Region:
        people(engines, region, EACH)
    with Proxies(engines.settings) as proxies:
        times = _sync(proxies)
        asynchronous = asyncio.run(_async(proxies))
    return ratios(
        "newest users, of shards that are 40 ms away",
        [times, asynchronous],
        {_ALL: "<= 1.2", _ASYNC_ALL: "<= 1.2"},
    )


def _set_latency(proxies: Proxies, seconds: float) -> None:
    for proxy in proxies.values():
        proxy.latency = seconds


def _sync(proxies: Proxies) -> dict[str, list[float]]:
    with Engines(proxies.settings) as engines:
        shards = {shard: engines.replicas(shard)[0].reader for shard in engines.shards}

        def by_routing_session() -> None:
            with RoutingSession(engines=engines, region="europe") as session:
                assert len(session.scalars(_NEWEST).all()) == EACH

        def by_fan_out() -> None:
            assert len(fan_out(engines, _NEWEST).all()) == EACH

        def by_sharded_session() -> None:
            # Three times the rows: it merges nothing.
            with ShardedSession(
                shard_chooser=lambda *_: "eu",
                identity_chooser=lambda *_, **__: ["eu"],
                execute_chooser=lambda _: list(shards),
                shards=shards,
            ) as session:
                assert len(session.scalars(_NEWEST).all()) == EACH * len(shards)

        contenders = {_ONE: by_routing_session, _ALL: by_fan_out, _SHARDED: by_sharded_session}
        measure(contenders, WARM_UP)
        _set_latency(proxies, ONE_WAY)
        try:
            return measure(contenders, ROUNDS)
        finally:
            _set_latency(proxies, 0)


async def _async(proxies: Proxies) -> dict[str, list[float]]:
    engines = Engines(proxies.settings, asynchronous=True)

    async def by_routing_session() -> None:
        async with AsyncRoutingSession(engines=engines, region="europe") as session:
            assert len((await session.scalars(_NEWEST)).all()) == EACH

    async def by_fan_out() -> None:
        assert len((await fan_out_async(engines, _NEWEST)).all()) == EACH

    contenders = {_ASYNC_ONE: by_routing_session, _ASYNC_ALL: by_fan_out}
    try:
        await measure_async(contenders, WARM_UP)
        _set_latency(proxies, ONE_WAY)
        return await measure_async(contenders, ROUNDS)
    finally:
        _set_latency(proxies, 0)
        await engines.close_async()
