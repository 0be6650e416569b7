"""Which courses come before which, where their homes are on different shards."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID
from weakref import WeakKeyDictionary

from psycopg.errors import LockNotAvailable
from sqlalchemy import ARRAY, Connection, Uuid, bindparam, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import Session

from elearning import crud
from elearning.errors import (
    CourseNotCopied,
    CourseNotFound,
    PrerequisiteCycle,
    PrerequisitesLocked,
)
from elearning.flows.copies import status_at_home
from elearning.flows.platform import Platform
from elearning.ids import parse_id, region_of
from elearning.models import Course
from elearning.routing import Token

__all__ = ["add_prerequisite"]

_LONGEST = 10.0  # seconds to wait for others
_PAUSE = 0.02  # seconds between two looks for a copy; see copies.py

_LIMITS = text(
    "SELECT set_config('lock_timeout', :longest, true), "
    "set_config('idle_in_transaction_session_timeout', '60s', true)"
)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('prerequisites worldwide', 0))")
_STILL_THERE = text("SELECT 1")

# The key is that of the trigger refuse_prerequisite_cycle: whoever writes an edge holds it.
_WAIT_FOR_WRITERS = text(
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('course_prerequisites', 0))"
)
# Edges that are at home here; a copy may be late.
_REACHED = text("""
    WITH RECURSIVE reached (id) AS (
        SELECT unnest(:begun)
        UNION
        SELECT p.prerequisite_id
        FROM reached JOIN course_prerequisites AS p ON p.course_id = reached.id
        WHERE is_home(region_code_of(p.id))
    )
    SELECT id FROM reached
""").bindparams(bindparam("begun", type_=ARRAY(Uuid)))

_queues: WeakKeyDictionary[Platform, asyncio.Lock] = WeakKeyDictionary()


async def add_prerequisite(
    platform: Platform,
    course_id: UUID,
    prerequisite_id: UUID,
    *,
    token: Token | str | None = None,
) -> bool:
    """Let a course come before another one; tell whether it did not already.

    No course ever comes before itself, wherever the courses are at home and whoever else adds
    prerequisites at the same moment:

    * One lock for the whole world, on the primary of the first shard, is held by a transaction
      that does nothing else, on a connection of its own. Under it the prerequisites are followed
      at the homes of their courses, on the primaries, and then the new one is written.
    * Where the process dies, the server ends that transaction, and with it the lock; where it
      stands still, after 60 s. So nothing is left held.
    * A COMMIT may then still be under way at some home. Whoever writes there holds the home's own
      lock until it has ended (the trigger refuse_prerequisite_cycle), and whoever follows
      prerequisites there waits for that. So what was written is seen, or never will be there.
    * Where only the lock's connection is lost, the writer notices: after it has written, and so
      holds the home's lock, it looks whether it still holds the lock, and commits only then.

    So of two that add something, the later one follows what the earlier one has written; and in a
    circle, one prerequisite would be the last. What `crud.add_prerequisite` writes by itself is
    checked on its shard alone.

    What was removed elsewhere a moment ago may still be refused as a circle: its copy is there
    until the removal is copied. Then try again.

    Args:
        platform: the databases.
        course_id: the course.
        prerequisite_id: is completed before; a course of any region.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidId: not an id of a course.
        CourseNotFound: one of them does not exist.
        CourseNotCopied: the prerequisite was created elsewhere just now; try again.
        PrerequisiteCycle: the course comes before the other one already, or is the same.
        PrerequisitesLocked: others have held the lock for too long.
        NodeUnavailable: a primary does not answer; nothing is written, unless that was the answer
            to the COMMIT.
    """
    course_id, prerequisite_id, token = (
        parse_id(course_id),
        parse_id(prerequisite_id),
        Token.of(token),
    )
    await _wait_for_copy(platform, course_id, prerequisite_id)
    async with _locked(platform) as lock:
        await _follow(platform, course_id, prerequisite_id)
        async with platform.session(region_of(course_id), token=token) as session, session.begin():
            added = await session.run_sync(crud.add_prerequisite, course_id, prerequisite_id)
            await lock.execute(_STILL_THERE)
    return added


@asynccontextmanager
async def _locked(platform: Platform) -> AsyncIterator[AsyncConnection]:
    """Hold the worldwide lock."""
    primary = platform.engines.primary(platform.engines.shards[0])
    # Its pool is not the one that the writer needs, and one of a process waits at a time: those
    # who wait can never keep who is first from going on.
    engine = AsyncEngine(primary.reader.execution_options(isolation_level="READ COMMITTED"))
    queue = _queues.setdefault(platform, asyncio.Lock())
    try:
        async with asyncio.timeout(_LONGEST):
            await queue.acquire()
    except TimeoutError:
        raise PrerequisitesLocked(seconds=_LONGEST) from None
    try:
        async with engine.connect() as connection:
            await connection.execute(_LIMITS, {"longest": f"{_LONGEST:.0f}s"})
            try:
                await connection.execute(_LOCK)
            except OperationalError as error:
                if isinstance(error.orig, LockNotAvailable):
                    raise PrerequisitesLocked(seconds=_LONGEST) from error
                raise
            yield connection
    finally:
        queue.release()


async def _follow(platform: Platform, course_id: UUID, prerequisite_id: UUID) -> None:
    """Look at all courses that come before the new prerequisite, each at its home.

    Raises:
        PrerequisiteCycle: the course is one of them.
    """
    seen: set[UUID] = set()
    todo = {prerequisite_id}
    while todo:
        seen |= todo
        by_home: dict[str, list[UUID]] = defaultdict(list)
        for one in todo:
            by_home[platform.engines.home(region_of(one))].append(one)
        found: set[UUID] = set()
        for home, begun in by_home.items():
            async with platform.session(region_of(begun[0])) as session, session.begin():
                reached = await session.run_sync(_reached, begun)
            if course_id in reached:
                raise PrerequisiteCycle(course_id=course_id, prerequisite_id=prerequisite_id)
            found |= reached
            # Those were followed there, as far as they go.
            seen |= {one for one in reached if platform.engines.home(region_of(one)) == home}
        todo = found - seen


def _reached(session: Session, begun: Collection[UUID]) -> set[UUID]:
    session.execute(_WAIT_FOR_WRITERS)
    return set(session.scalars(_REACHED, {"begun": list(begun)}))


async def _wait_for_copy(platform: Platform, course_id: UUID, prerequisite_id: UUID) -> None:
    """Wait until the course's home has the prerequisite, too."""
    here = platform.engines.home(region_of(course_id))
    if await platform.on_primary(here, _is_there, prerequisite_id):
        return
    if await status_at_home(platform, prerequisite_id) is None:
        raise CourseNotFound(course_id=prerequisite_id)
    longest = platform.settings.limits.max_copy_wait
    end = monotonic() + longest
    while not await platform.on_primary(here, _is_there, prerequisite_id):
        if monotonic() >= end:
            raise CourseNotCopied(course_id=prerequisite_id, shard=here, seconds=longest)
        await asyncio.sleep(_PAUSE)


def _is_there(connection: Connection, course_id: UUID) -> bool:
    return connection.execute(select(Course.id).where(Course.id == course_id)).first() is not None
