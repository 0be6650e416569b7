"""Operations beside the same SQL by the driver alone, and by a Session that routes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from statistics import median
from typing import Any, NamedTuple

from psycopg import Connection
from rich.table import Table
from sqlalchemy import event
from sqlalchemy.orm import Session

from benchmarks.timing import duration, measure
from elearning.regions import Region
from elearning.routing import Engines, Reader, ReadSession

__all__ = ["Operation", "beside"]

Statements = list[tuple[str, Any]]


class Operation(NamedTuple):
    """Something that reads, and how long it may take."""

    name: str
    run: Callable[[Reader, int], object]
    """Takes a session, and whose turn it is: from 0 on, below the number of different turns."""
    target: str


def beside(
    engines: Engines,
    raw: Connection[tuple[Any, ...]],
    operations: Iterable[Operation],
    *,
    title: str,
    rounds: int,
    turns: int = 1,
) -> Table:
    """Return a table of how long operations take on the replica of Europe's shard.

    Args:
        engines: of all shards.
        raw: a connection to that replica.
        operations: what is measured.
        title: of the table.
        rounds: how often all turns are taken.
        turns: how many different ones there are.
    """
    others = "of raw psycopg's speed", "of a plain Session's"
    table = Table("", "median", "p95", *others, "target", title=title)
    for each in operations:
        times = _times(engines, raw, each, rounds, turns)
        own = times["own"]
        speeds = (
            median(other / mine for mine, other in zip(own, times[name], strict=True))
            for name in ("raw", "plain")
        )
        p95 = sorted(own)[int(len(own) * 0.95)]
        table.add_row(
            each.name,
            duration(median(own)),
            duration(p95),
            *(f"{speed:.2f}" for speed in speeds),
            f"{each.target}, >= 0.7",
        )
    return table


def _times(
    engines: Engines,
    raw: Connection[tuple[Any, ...]],
    operation: Operation,
    rounds: int,
    turns: int,
) -> dict[str, list[float]]:
    """Return how long turns take, here, by a plain Session, and by the driver with the same SQL."""
    places = {"own": count(), "plain": count(), "raw": count()}
    engine = engines.replicas("eu")[0].reader
    known: list[Statements] = []

    def own() -> None:
        with ReadSession(engines=engines, region=Region.EUROPE) as session:
            operation.run(session, next(places["own"]) % turns)

    def plain() -> None:
        with Session(engine) as session:
            operation.run(session, next(places["plain"]) % turns)

    def driver() -> None:
        for sql, values in known[next(places["raw"]) % turns]:
            raw.execute(sql, values).fetchall()

    # By engines of its own: those that were listened to once stay slower.
    with Engines(engines.settings) as others:
        for turn in range(turns):
            with _recorded(others) as statements, ReadSession(engines=others, region="europe") as s:
                operation.run(s, turn)
            known.append(statements)
    return measure({"own": own, "plain": plain, "raw": driver}, rounds * turns, warm_up=turns)


@contextmanager
def _recorded(engines: Engines) -> Iterator[Statements]:
    """Note the statements on the replica of Europe's shard."""
    found: Statements = []

    def note(_c: object, _cu: object, sql: str, values: Any, *_: object) -> None:
        found.append((sql, values))

    every = engines.replicas("eu")[0].engines
    for engine in every:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in every:
        event.remove(engine, "before_cursor_execute", note)
