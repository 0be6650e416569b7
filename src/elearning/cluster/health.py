"""Is every node up, in its role, are copies kept, and how much does the platform hold?

Every node is asked in a thread of its own, and the report is made when all have
answered or the time is up: a node that hangs, wherever it hangs, delays nothing.
The threads are daemons, so neither does it keep the process alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

import psycopg
from psycopg import Connection
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout
from sqlalchemy import URL

from elearning.cluster.mesh.health import CopyHealth, ShardFacts, copies_health, look_at
from elearning.cluster.totals import Totals, count_rows, sum_up
from elearning.config import MongoSettings, Settings, Shard, address_of, connect_options
from elearning.models import HEAD, REVISIONS
from elearning.routing.schema import read_revision
from elearning.text import first_line

__all__ = ["CopyHealth", "HealthReport", "NodeHealth", "Totals", "check_health"]

_CONNECT_TIMEOUT = 2  # seconds; libpq has no shorter one
_COUNT_TIMEOUT = 500  # milliseconds
_COLLECTIONS = ("course_content", "user_preferences")


@dataclass(slots=True)
class NodeHealth:
    """One node; ``latency_ms`` is the round trip of a query."""

    name: str
    role: str
    address: str
    ok: bool = False
    latency_ms: float | None = None
    problem: str | None = "no answer in time"


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The state of all nodes and copies, and the totals over all shards."""

    nodes: tuple[NodeHealth, ...]
    copies: tuple[CopyHealth, ...]
    totals: Totals
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every node is up and in its role, and all copies are kept up to date."""
        return all(node.ok for node in self.nodes) and all(copy.ok for copy in self.copies)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; money as texts."""
        plain = asdict(self)
        plain["ok"] = self.ok
        plain["totals"]["revenue"] = {
            currency: str(amount) for currency, amount in self.totals.revenue.items()
        }
        return plain


def check_health(settings: Settings, *, timeout: float = 3.0) -> HealthReport:
    """Ask every node, and count what the platform holds.

    Args:
        settings: where the nodes are.
        timeout: seconds; the report is there by then, whatever hangs.
    """
    start = monotonic()
    deadline = start + timeout
    nodes: list[NodeHealth] = []
    counted: dict[str, Totals] = {}
    facts: dict[str, ShardFacts] = {}
    tasks: list[Callable[[], None]] = []

    for shard in settings.shards:
        for number, (name, url) in enumerate(shard.nodes):
            role = "replica" if number else "primary"
            node = NodeHealth(name, role, address_of(url))
            nodes.append(node)
            tasks.append(_task(_check_server, node, url))
        tasks.append(_task(_count_shard, counted, shard, deadline))
        tasks.append(_task(_look_at, facts, shard))
    mongodb = NodeHealth("mongodb", "primary", _mongo_address(settings.mongodb))
    nodes.append(mongodb)
    tasks.append(_task(_check_mongodb, mongodb, counted, settings.mongodb))

    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    # Copies: a thread that is late must not change the report.
    report = tuple(NodeHealth(**asdict(node)) for node in nodes)
    expected = [shard.name for shard in settings.shards] + ["mongodb"]
    copies = copies_health(settings, dict(facts))
    return HealthReport(report, copies, sum_up(dict(counted), expected), monotonic() - start)


def _task(function: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    return lambda: function(*arguments)


def _connect(url: URL) -> Connection[tuple[Any, ...]]:
    return psycopg.connect(
        **connect_options(url)
        | {"connect_timeout": _CONNECT_TIMEOUT, "application_name": "elearning-health"},
        autocommit=True,
    )


def _check_server(node: NodeHealth, url: URL) -> None:
    try:
        with _connect(url) as connection:
            start = monotonic()
            row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
            latency = (monotonic() - start) * 1000
            role = "replica" if row and row[0] else "primary"
            revision = read_revision(connection)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a node is its report
        # The address is told beside it: "connection to server at … failed: " goes.
        node.problem = first_line(error).rsplit(" failed: ", 1)[-1]
        return
    node.latency_ms = round(latency, 2)
    node.problem = None if role == node.role else f"is a {role}, expected a {node.role}"
    if node.problem is None and role == "primary" and revision in (None, *REVISIONS[:-1]):
        node.problem = f"is at revision {revision or 'none'}, not at {HEAD}: 'elearning migrate'"
    node.ok = node.problem is None
    node.role = role


def _look_at(facts: dict[str, ShardFacts], shard: Shard) -> None:
    # The node's own check tells what is wrong with it.
    with suppress(Exception), _connect(shard.primary) as connection:
        facts[shard.name] = look_at(connection)


def _count_shard(counted: dict[str, Totals], shard: Shard, deadline: float) -> None:
    """Count on a replica where one answers, else on the primary."""
    for url in (*shard.replicas, shard.primary):
        milliseconds = int((deadline - monotonic()) * 1000)
        if milliseconds <= 0:
            return
        try:
            with _connect(url) as connection:
                connection.execute(f"SET statement_timeout = {milliseconds:d}")
                counted[shard.name] = count_rows(connection)
        except Exception:  # noqa: BLE001, S112 - the node's own check tells what is wrong
            continue
        return


def _check_mongodb(node: NodeHealth, counted: dict[str, Totals], settings: MongoSettings) -> None:
    milliseconds = _CONNECT_TIMEOUT * 1000
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(
            settings.url,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
        )
        with client:
            database = client[settings.database]
            database.command("ping")  # connects
            start = monotonic()
            database.command("ping")
            node.latency_ms = round((monotonic() - start) * 1000, 2)
            counted["mongodb"] = Totals(
                documents=sum(_count_documents(database[name]) for name in _COLLECTIONS)
            )
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a node is its report
        node.problem = first_line(error).split(",", 1)[0].split(" (configured", 1)[0]
        return
    node.problem = None
    node.ok = True


def _count_documents(collection: Collection[dict[str, Any]]) -> int:
    """Count; an estimate, which is wrong after a crash, only where counting takes too long."""
    try:
        return collection.count_documents({}, maxTimeMS=_COUNT_TIMEOUT)
    except ExecutionTimeout:
        return collection.estimated_document_count()


def _mongo_address(settings: MongoSettings) -> str:
    # Without user and password.
    return settings.url.split("://", 1)[1].split("/", 1)[0].rsplit("@", 1)[-1]
