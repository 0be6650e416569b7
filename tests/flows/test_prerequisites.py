"""Prerequisites of courses whose homes are on different shards."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from elearning import crud
from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.errors import (
    CourseNotCopied,
    CourseNotFound,
    InvalidId,
    NodeUnavailable,
    PrerequisiteCycle,
    PrerequisitesLocked,
)
from elearning.flows import Platform, add_prerequisite, prerequisites
from elearning.ids import new_id
from elearning.models import CoursePrerequisite
from elearning.routing import Engines, RoutingSession, Token
from elearning.testing.copies import wait_copied
from elearning.testing.factories import CourseFactory, bound
from tests.flows.conftest import copying_stopped
from tests.served import served
from tests.snapshots import Snapshot, connect

REGIONS = ("north_america", "europe", "asia")


def make_course(engines: Engines, region: str) -> UUID:
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        course_id = CourseFactory.create(instructor__region=region).id
        session.commit()
    return course_id


@pytest.fixture
def courses(platform: Platform, engines: Engines) -> list[UUID]:
    """A course on each shard, and its copies on the others."""
    made = [make_course(engines, region) for region in REGIONS]
    wait_copied(engines)
    return made


def edges(engines: Engines) -> set[tuple[UUID, UUID]]:
    """Return all prerequisites, each from its home."""
    found: set[tuple[UUID, UUID]] = set()
    statement = select(CoursePrerequisite.course_id, CoursePrerequisite.prerequisite_id)
    for region in REGIONS:
        with RoutingSession(engines=engines, region=region, consistency="primary") as session:
            found |= {(row[0], row[1]) for row in session.execute(statement)}
    return found


async def test_add_prerequisite(platform: Platform, engines: Engines, courses: list[UUID]) -> None:
    na, eu, asia = courses
    token = Token()
    with served(platform.engines) as nodes:
        assert await add_prerequisite(platform, eu, na, token=token)
    assert {name for name in nodes if name != "na-primary"} == {"eu-primary"}
    assert set(token) == {"eu"}
    assert await add_prerequisite(platform, eu, na) is False
    assert await add_prerequisite(platform, na, asia)
    assert edges(engines) == {(eu, na), (na, asia)}
    for course_id, prerequisite_id in ((asia, eu), (na, eu), (asia, na), (eu, eu)):
        with pytest.raises(PrerequisiteCycle, match=str(prerequisite_id)):
            await add_prerequisite(platform, course_id, prerequisite_id)
    assert edges(engines) == {(eu, na), (na, asia)}


async def test_what_is_not_copied_yet_counts(
    platform: Platform, engines: Engines, settings: Settings, courses: list[UUID]
) -> None:
    na, eu, asia = courses
    # asia learns nothing of what eu and na write.
    with copying_stopped(settings, "asia", "eu"), copying_stopped(settings, "asia", "na"):
        await add_prerequisite(platform, eu, na)
        await add_prerequisite(platform, na, asia)
        with pytest.raises(PrerequisiteCycle):
            await add_prerequisite(platform, asia, eu)
        # Its own shard alone would have let it pass.
        async with platform.session("asia") as session:
            assert await session.run_sync(crud.add_prerequisite, asia, eu)
            await session.rollback()
    assert edges(engines) == {(eu, na), (na, asia)}


@pytest.mark.parametrize("turn", range(3))
async def test_opposite_prerequisites_at_once(
    platform: Platform, engines: Engines, settings: Settings, courses: list[UUID], turn: int
) -> None:
    na, eu, asia = courses
    pairs = [(na, eu), (eu, asia), (asia, na)]
    if turn == 0:
        pairs = [(na, eu), (eu, na)]
    async with Platform(settings) as other:
        answers = await asyncio.gather(
            *(
                add_prerequisite((platform, other)[number % 2], *pair)
                for number, pair in enumerate(pairs)
            ),
            return_exceptions=True,
        )
    refused = [each for each in answers if isinstance(each, PrerequisiteCycle)]
    assert len(refused) == 1
    assert answers.count(True) == len(pairs) - 1
    assert len(edges(engines)) == len(pairs) - 1


async def test_many_at_once_need_one_connection_each(
    engines: Engines, settings: Settings, courses: list[UUID]
) -> None:
    na, eu, _ = courses
    more = [make_course(engines, "north_america") for _ in range(8)]
    wait_copied(engines)
    # Whoever waits for the lock takes no connection from who has it.
    async with Platform(settings, pool_size=1) as small:
        added = await asyncio.gather(*(add_prerequisite(small, each, eu) for each in more))
    assert added == [True] * 8
    assert edges(engines) == {(each, eu) for each in more}
    assert na not in more


async def test_wrong_ids(
    platform: Platform, engines: Engines, courses: list[UUID], snapshot: Snapshot
) -> None:
    na, eu, _ = courses
    before = snapshot()
    for stranger in (new_id("europe"), new_id("asia")):
        with pytest.raises(CourseNotFound, match=str(stranger)):
            await add_prerequisite(platform, eu, stranger)
        with pytest.raises(CourseNotFound, match=str(stranger)):
            await add_prerequisite(platform, stranger, na)
    with pytest.raises(InvalidId):
        await add_prerequisite(platform, UUID(int=1), na)
    assert snapshot() == before


async def test_a_course_that_is_not_copied_yet(
    platform: Platform,
    engines: Engines,
    settings: Settings,
    courses: list[UUID],
) -> None:
    _, eu, _ = courses
    with copying_stopped(settings, "eu", "asia"):
        late = make_course(engines, "asia")
        limits = replace(settings.limits, max_copy_wait=0.1)
        async with Platform(replace(settings, limits=limits)) as hasty:
            with pytest.raises(CourseNotCopied, match=str(late)):
                await add_prerequisite(hasty, eu, late)
        waiting = asyncio.ensure_future(add_prerequisite(platform, eu, late))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting


@asynccontextmanager
async def held(platform: Platform) -> AsyncIterator[None]:
    """Hold the lock, as somebody else."""
    engine = AsyncEngine(platform.engines.primary("na").engine)
    async with engine.connect() as connection:
        await connection.execute(prerequisites._LOCK)
        yield


async def test_who_waits_too_long_is_told(
    platform: Platform, engines: Engines, courses: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    na, eu, _ = courses
    monkeypatch.setattr(prerequisites, "_LONGEST", 1.0)
    async with held(platform):
        answers = await asyncio.gather(
            *(add_prerequisite(platform, na, eu) for _ in range(2)), return_exceptions=True
        )
    assert [type(each) for each in answers] == [PrerequisitesLocked] * 2
    assert edges(engines) == set()
    # And is not in anybody's way afterwards.
    assert await add_prerequisite(platform, na, eu)


async def test_nothing_is_written_where_the_lock_was_lost(
    platform: Platform,
    engines: Engines,
    settings: Settings,
    courses: list[UUID],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    na, eu, _ = courses
    write = crud.add_prerequisite

    def cut_off(*arguments: object) -> bool:
        with connect(settings.shard("na").primary) as own:
            ended = own.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
                "WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchall()
        assert ended == [(True,)]
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(crud, "add_prerequisite", cut_off)
    with pytest.raises(NodeUnavailable):
        await add_prerequisite(platform, eu, na)
    assert edges(engines) == set()
    monkeypatch.undo()
    assert await add_prerequisite(platform, eu, na)


KILLED = """
import asyncio, os, signal, sys
from uuid import UUID
from elearning import crud
from elearning.config import Settings
from elearning.flows import Platform, add_prerequisite
from elearning.flows import prerequisites

def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    crud.add_prerequisite = end
    async with Platform(Settings.load()) as platform:
        await add_prerequisite(platform, UUID(sys.argv[1]), UUID(sys.argv[2]))

asyncio.run(main())
"""


async def test_a_killed_client_leaves_nothing_held(
    platform: Platform, engines: Engines, courses: list[UUID], cluster: EmbeddedCluster
) -> None:
    na, eu, _ = courses
    environment = os.environ | cluster.environment()
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", textwrap.dedent(KILLED), str(eu), str(na)],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert await add_prerequisite(platform, na, eu)
    assert edges(engines) == {(na, eu)}


async def test_a_commit_under_way_is_waited_for(
    platform: Platform, engines: Engines, courses: list[UUID]
) -> None:
    na, eu, _ = courses
    with RoutingSession(engines=engines, region="europe") as session:
        # Somebody whose lock is gone, and whose COMMIT is still to come.
        crud.add_prerequisite(session, eu, na)
        late = asyncio.ensure_future(add_prerequisite(platform, na, eu))
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with connect(engines.settings.shard("eu").owner_url) as owner:
            waits = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
            while owner.execute(waits, (pid,)).fetchone() == (0,):
                assert not late.done()
                await asyncio.sleep(0.01)
        session.commit()
    with pytest.raises(PrerequisiteCycle):
        await late
    assert edges(engines) == {(eu, na)}
