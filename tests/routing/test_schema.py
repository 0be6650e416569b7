"""A schema that is not the one that the code is written for is told at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import migrate
from elearning.config import Settings
from elearning.errors import NodeUnavailable, SchemaMismatch
from elearning.flows import Platform
from elearning.models import HEAD, REVISIONS, User
from elearning.routing import Engines, RoutingSession
from elearning.testing.databases import wait_fit
from tests.models.support import own_databases
from tests.snapshots import connect

NEWER = "9999"
OLDER = REVISIONS[-2]

SetRevision = Callable[..., None]


@pytest.fixture(scope="module")
def shards(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Settings]:
    """Databases at head on na and eu; `at` moves them elsewhere."""
    with own_databases(cluster, settings, "revisions", "na", "eu") as made:
        yield made


@pytest.fixture
def at(shards: Settings) -> Iterator[SetRevision]:
    """Write which revision a shard is at; after the test they are at head."""

    def write(shard: str, revision: str) -> None:
        with connect(shards.shard(shard).owner_url) as owner:
            owner.execute("UPDATE alembic_version SET version_num = %s", [revision])

    yield write
    for shard in ("na", "eu"):
        write(shard, HEAD)


@pytest.fixture
async def rebinds(open_platform: Platform) -> AsyncIterator[None]:
    """Let the test open a platform: Beanie is bound once in a process."""
    yield
    await open_platform.documents.open()


def told(shard: str, found: str) -> str:
    return f"shard {shard} is at revision {found}, this release needs {HEAD}: run 'elearning migr"


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_an_older_schema(shards: Settings, at: SetRevision, revision: str) -> None:
    at("eu", revision)
    with pytest.raises(SchemaMismatch, match=told("eu", revision)):
        async with Platform(shards):
            pass
    with Engines(shards) as engines, pytest.raises(SchemaMismatch, match=told("eu", revision)):
        engines.open()
    asynchronous = Engines(shards, asynchronous=True)
    with pytest.raises(SchemaMismatch, match=told("eu", revision)):
        await asynchronous.open_async()
    await asynchronous.close_async()


async def test_an_older_schema_at_the_first_statement(shards: Settings, at: SetRevision) -> None:
    at("eu", OLDER)
    with Engines(shards) as engines:
        with RoutingSession(engines=engines, region="north_america") as session:
            assert session.scalars(select(User)).all() == []
        for _ in range(2):
            with (
                RoutingSession(engines=engines, region="europe") as session,
                pytest.raises(SchemaMismatch, match=told("eu", OLDER)),
            ):
                session.scalars(select(User))
    platform = Platform(shards)
    async with platform.session("africa") as session:
        with pytest.raises(SchemaMismatch, match=told("eu", OLDER)):
            await session.scalars(select(User))
    await platform.close()


def test_it_works_as_soon_as_the_shard_is_migrated(shards: Settings, at: SetRevision) -> None:
    at("eu", OLDER)
    with Engines(shards) as engines:
        with pytest.raises(SchemaMismatch):
            engines.open()
        at("eu", HEAD)
        engines.open()
        with RoutingSession(engines=engines, region="europe") as session:
            assert session.scalars(select(User)).all() == []


async def test_no_schema_at_all(settings: Settings, cluster: EmbeddedCluster) -> None:
    with own_databases(cluster, settings, "nothing", "eu", at=None) as empty:
        with pytest.raises(SchemaMismatch, match=told("eu", "none")):
            async with Platform(empty):
                pass
        with Engines(empty) as engines, pytest.raises(SchemaMismatch, match=told("eu", "none")):
            engines.open()


def test_a_schema_that_nobody_may_look_at(settings: Settings, cluster: EmbeddedCluster) -> None:
    """Rights are granted after the last revision: before that, a shard is not ready."""
    with own_databases(cluster, settings, "halfway", "eu", at=OLDER) as halfway:
        with Engines(halfway) as engines, pytest.raises(SchemaMismatch):
            engines.open()
        assert [result.error for result in migrate(halfway)] == [None]
        with Engines(halfway) as engines:
            engines.open()


async def test_a_newer_schema_is_a_warning(
    shards: Settings, at: SetRevision, rebinds: None, caplog: pytest.LogCaptureFixture
) -> None:
    at("eu", NEWER)
    with caplog.at_level(logging.WARNING, "elearning.routing"):
        async with Platform(shards) as platform, platform.session("europe") as session:
            assert (await session.scalars(select(User))).all() == []
    warning = f"shard eu is at revision {NEWER}, newer than this release, which is written for"
    assert [warning in record.message for record in caplog.records] == [True]
    caplog.clear()
    with Engines(shards) as engines:
        engines.open()
    assert warning in caplog.text


async def test_a_shard_that_does_not_answer_stops_nobody(
    shards: Settings, at: SetRevision, rebinds: None, caplog: pytest.LogCaptureFixture
) -> None:
    na, eu = shards.shards
    broken = replace(shards, shards=(na, replace(eu, primary=eu.primary.set(port=1))))
    with caplog.at_level(logging.WARNING, "elearning.routing"):
        async with Platform(broken) as platform:
            async with platform.session("north_america") as session:
                assert (await session.scalars(select(User))).all() == []
            async with platform.session("europe") as session:
                with pytest.raises(NodeUnavailable, match="eu-primary"):
                    await session.scalars(select(User))
    assert "its schema is looked at when it answers: eu-primary" in caplog.text
    # The others are looked at all the same.
    at("na", OLDER)
    with pytest.raises(SchemaMismatch, match=told("na", OLDER)):
        async with Platform(broken):
            pass


async def test_a_shard_is_looked_at_when_it_answers(
    settings: Settings, cluster: EmbeddedCluster, shards: Settings, at: SetRevision, rebinds: None
) -> None:
    at("na", OLDER)
    node = cluster.node("na-primary")
    node.kill()
    try:
        platform = Platform(shards)
        await platform.open()
    finally:
        node.start()
    await asyncio.to_thread(wait_fit, platform.engines)
    async with platform.session("north_america") as session:
        with pytest.raises(SchemaMismatch, match=told("na", OLDER)):
            await session.scalars(select(User))
    await platform.close()
