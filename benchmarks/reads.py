"""A row by its id, a session for each read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psycopg
from rich.table import Table
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import Session

from benchmarks.courses import connect
from benchmarks.people import somebody
from benchmarks.timing import measure, measure_async, speeds
from elearning.config import Settings
from elearning.ids import region_of
from elearning.models import User
from elearning.routing import AsyncRoutingSession, Engines, RoutingSession

ROUNDS = 50
READS = 50  # in a turn: who reads, reads often, and the first ones only warm the machine up

_COLUMNS = ", ".join(column.name for column in User.__table__.columns)
_BY_ID = f"SELECT {_COLUMNS} FROM users WHERE id = %s"  # noqa: S608 - our own columns
_PLAIN, _SHARDED, _ROUTING = "plain Session, one engine", "ShardedSession", "RoutingSession"
_RAW = "raw psycopg, autocommit"
_ASYNC_PLAIN, _ASYNC_ROUTING = "plain AsyncSession, one engine", "AsyncRoutingSession"
_ASYNC_RAW = "raw psycopg, asyncio"


def point_reads(engines: Engines) -> Table:
    """Compare a plain Session, ShardedSession, RoutingSession and raw psycopg.

    The engines of the first two are ordinary ones, with SQLAlchemy's defaults, on the same
    replica.
    """
    user_id = somebody(engines)
    urls = {shard: engines.replicas(shard)[0].engine.url for shard in engines.shards}
    shards = {shard: create_engine(url) for shard, url in urls.items()}
    replica = shards["eu"]
    raw = connect(urls["eu"])

    def by_session() -> object:
        with Session(replica) as session:
            return session.get_one(User, user_id)

    def home(mapper: object, primary_key: Any, **_: object) -> list[str]:  # noqa: ARG001
        return [engines.home(region_of(primary_key[0]))]

    def by_sharded_session() -> object:
        with ShardedSession(
            shard_chooser=lambda *_: "eu",
            identity_chooser=home,
            execute_chooser=lambda _: ["eu"],
            shards=shards,
        ) as session:
            return session.get_one(User, user_id)

    def by_routing_session() -> object:
        with RoutingSession(engines=engines, region="asia") as session:
            return session.get_one(User, user_id)

    try:
        times = measure(
            {
                _PLAIN: by_session,
                _SHARDED: by_sharded_session,
                _ROUTING: by_routing_session,
                _RAW: lambda: raw.execute(_BY_ID, [user_id]).fetchone(),
            },
            ROUNDS,
            warm_up=ROUNDS // 10,
            repeat=READS,
        )
    finally:
        raw.close()
        for engine in shards.values():
            engine.dispose()
    return speeds(
        "point read by id, a session for each; how fast is RoutingSession?",
        times,
        {_PLAIN: ">= 1.9", _SHARDED: ">= 2.1", _RAW: ""},
        of=_ROUTING,
    )


def async_point_reads(engines: Engines) -> Table:
    """Compare the same with asyncio, all in one event loop."""
    return asyncio.run(_async_point_reads(engines.settings, somebody(engines)))


async def _async_point_reads(settings: Settings, user_id: UUID) -> Table:
    engines = Engines(settings, asynchronous=True)
    url = engines.replicas("eu")[0].engine.url
    replica = create_async_engine(url)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    raw = await psycopg.AsyncConnection.connect(plain, autocommit=True)

    async def by_session() -> object:
        async with AsyncSession(replica) as session:
            return await session.get_one(User, user_id)

    async def by_routing_session() -> object:
        async with AsyncRoutingSession(engines=engines, region="asia") as session:
            return await session.get_one(User, user_id)

    async def by_psycopg() -> object:
        return await (await raw.execute(_BY_ID, [user_id])).fetchone()

    contenders: dict[str, Callable[[], Awaitable[object]]] = {
        _ASYNC_PLAIN: by_session,
        _ASYNC_ROUTING: by_routing_session,
        _ASYNC_RAW: by_psycopg,
    }
    try:
        times = await measure_async(contenders, ROUNDS, warm_up=ROUNDS // 10, repeat=READS)
    finally:
        await raw.close()
        await replica.dispose()
        await engines.close_async()
    return speeds(
        "the same with asyncio; how fast is AsyncRoutingSession?",
        times,
        {_ASYNC_PLAIN: ">= 1.4", _ASYNC_RAW: ""},
        of=_ASYNC_ROUTING,
    )
