"""A crowd of asyncio tasks on small pools, also while a shard hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

from rich.table import Table
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.people import people
from benchmarks.timing import duration
from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.embedded.processes import wait_until
from elearning.config import Settings
from elearning.errors import ElearningError
from elearning.models import User
from elearning.regions import Region
from elearning.routing import AsyncRoutingSession, Engines, RoutingSession
from elearning.testing.switches import Switches

TASKS = 200
POOL = 10
SECONDS = 6.0
MOST = SECONDS + 30.0  # whoever is not done by then waits for ever
EACH = 20  # users in a region
HANGS = "asia"
WRITES = 0.3  # of operations
READS_OF_TWO = 0.5  # of reads
PAUSE = 0.1  # seconds after an error, as a client would make

People = Mapping[str, Sequence[UUID]]
"""Users by the shard where they live."""


@dataclass
class Done:
    """What the tasks of some shards did."""

    operations: int = 0
    longest: float = 0.0
    errors: list[str] = field(default_factory=list)
    longest_error: float = 0.0

    def note(self, seconds: float, error: Exception | None) -> None:
        """Note an operation."""
        if error is None:
            self.operations += 1
            self.longest = max(self.longest, seconds)
        else:
            self.errors.append(repr(error))
            self.longest_error = max(self.longest_error, seconds)


def crowd(engines: Engines, cluster: EmbeddedCluster) -> Table:
    """Read and write with 200 tasks, with all shards and while one of them hangs.

    Each task is at home on a shard. It opens a session for each operation: it writes there, or
    reads there, or reads there and on another shard in any order. The tasks of the shard that
    hangs are the only ones that go there, and they go everywhere.
    """
    homes: dict[str, list[UUID]] = {shard: [] for shard in engines.shards}
    for region in Region:
        homes[engines.home(region)] += people(engines, region, EACH)
    with Switches(cluster) as switches:
        well, hanging = asyncio.run(_well_and_hanging(engines.settings, homes, switches))
    _serves(engines, homes)
    table = Table(
        "",
        "ops/s",
        "ratio",
        "longest",
        "errors",
        "longest",
        "target",
        title=f"{TASKS} tasks, {POOL} connections to each node",
    )
    others = ", ".join(shard for shard in homes if shard != HANGS)
    for index, name in enumerate((others, HANGS)):
        before = well[index].operations
        for when, done, target in (
            ("", well[index], "no error"),
            (
                " while it hangs" if index else f" while {HANGS} hangs",
                hanging[index],
                ("no error", "told in 3 s a node")[index],
            ),
        ):
            table.add_row(
                name + when,
                f"{done.operations / SECONDS:,.0f}",
                f"{done.operations / before:.2f}",
                duration(done.longest),
                f"{len(done.errors):,}",
                duration(done.longest_error) if done.errors else "",
                target,
            )
        table.add_section()
    problems = [error for done in (*well, hanging[0]) for error in done.errors]
    assert not problems, f"{len(problems)} errors, such as {problems[0]}"
    return table


async def _well_and_hanging(
    settings: Settings, homes: People, switches: Switches
) -> list[tuple[Done, Done]]:
    """Return what the tasks did at first, and then: those of the others, those of one shard."""
    engines = Engines(settings, asynchronous=True, pool_size=POOL)
    try:
        await engines.open_async()
        found = [await _all_at_once(engines, homes)]
        for node in (f"{HANGS}-replica-1", f"{HANGS}-primary"):
            await asyncio.to_thread(switches.silence, node)
        found.append(await _all_at_once(engines, homes))
    finally:
        await engines.close_async()
    return found


async def _all_at_once(engines: Engines, homes: People) -> tuple[Done, Done]:
    others, hangs = Done(), Done()
    end = perf_counter() + SECONDS
    async with asyncio.timeout(MOST), asyncio.TaskGroup() as tasks:
        for number in range(TASKS):
            shard = list(homes)[number % len(homes)]
            there = [one for name in homes if name not in {shard, HANGS} for one in homes[name]]
            done = hangs if shard == HANGS else others
            random = Random(number)  # noqa: S311 - no secret
            tasks.create_task(_work(_Worker(engines, homes[shard], there, random), done, end))
    return others, hangs


class _Worker(NamedTuple):
    """What a task works with."""

    engines: Engines
    here: Sequence[UUID]
    there: Sequence[UUID]
    random: Random


async def _work(worker: _Worker, done: Done, end: float) -> None:
    while (start := perf_counter()) < end:
        error = None
        try:
            await _operate(*worker)
        except (ElearningError, SQLAlchemyError) as raised:
            error = raised
        done.note(perf_counter() - start, error)
        if error:
            await asyncio.sleep(PAUSE)


async def _operate(
    engines: Engines, here: Sequence[UUID], there: Sequence[UUID], random: Random
) -> None:
    region = random.choice(list(Region))
    async with AsyncRoutingSession(engines=engines, region=region) as session:
        if random.random() < WRITES:
            changed = update(User).where(User.id == random.choice(here))
            await session.execute(changed.values(last_name="Obi"))
            await session.commit()
        elif random.random() < READS_OF_TWO:
            two = [random.choice(here), random.choice(there)]
            random.shuffle(two)
            for one in two:
                await session.get_one(User, one)
        else:
            await session.get_one(User, random.choice(here))


def _serves(engines: Engines, homes: People) -> None:
    """Check that what was put back is used again."""
    assert wait_until(lambda: all(node.is_fit for node in engines.nodes), 10)
    for ids in homes.values():
        with RoutingSession(engines=engines) as session:
            session.execute(update(User).where(User.id == ids[0]).values(last_name="Obi"))
            session.commit()
            session.get_one(User, ids[0])
