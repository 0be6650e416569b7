"""A shard's subscriptions to the others, seen as its owner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic, sleep

from psycopg import sql

from elearning.cluster.mesh.connecting import FAILOVER_SINCE, Connection, conninfo, value
from elearning.cluster.mesh.names import SUBSCRIPTIONS, slot_name, subscription_name
from elearning.config import Shard
from elearning.errors import MeshError
from elearning.models.publication import PUBLICATION

__all__ = [
    "Subscription",
    "connect_to",
    "drop",
    "enable",
    "note",
    "steady",
    "subscribe",
    "subscriptions",
    "wait_running",
]

_WAIT = 10  # seconds
_LOOK = 0.5  # seconds; a failing one is started again after 0.2 to 5
_PAUSE = 0.02
_LIST = """
    SELECT s.subname, s.subenabled, s.subslotname, obj_description(s.oid, 'pg_subscription'),
        EXISTS (SELECT FROM pg_stat_subscription AS w
                WHERE w.subid = s.oid AND w.pid IS NOT NULL AND w.relid IS NULL),
        coalesce((SELECT apply_error_count + sync_error_count
                  FROM pg_stat_subscription_stats AS e WHERE e.subid = s.oid), 0)
    FROM pg_subscription AS s
    WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND starts_with(s.subname, %s)
"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription; ``note`` tells for which state of both shards it was made."""

    name: str
    enabled: bool
    slot: str | None
    note: str
    running: bool
    errors: int


def subscriptions(connection: Connection) -> dict[str, Subscription]:
    """Return a database's subscriptions of ours, by name."""
    return {
        row[0]: Subscription(row[0], row[1], row[2], row[3] or "", row[4], row[5])
        for row in connection.execute(_LIST, [SUBSCRIPTIONS]).fetchall()
    }


def steady(connection: Connection, seconds: float = _LOOK) -> dict[str, Subscription]:
    """Return a database's subscriptions of ours; one that fails again and again is not running.

    Between two failures it runs for a moment, so where one has failed they are looked at for
    a while.
    """
    first = found = subscriptions(connection)
    deadline = monotonic() + seconds
    stopped: set[str] = set()
    while any(each.errors for each in found.values()):
        stopped |= {
            name
            for name, each in found.items()
            if not each.running or (name in first and each.errors > first[name].errors)
        }
        if monotonic() > deadline:
            break
        sleep(_PAUSE)
        found = subscriptions(connection)
    return {
        name: replace(each, running=each.running and name not in stopped)
        for name, each in found.items()
    }


def subscribe(connection: Connection, publisher: Shard, subscriber: Shard) -> None:
    """Subscribe to another shard, by a slot that is there, without copying what is there.

    It begins when the transaction is committed that this is done in.
    """
    if publisher.replication is None:
        raise MeshError(problem=f"{publisher.name} has no URL for replication")
    options = sql.SQL("create_slot = false, copy_data = false, slot_name = {}").format(
        sql.Literal(slot_name(publisher, subscriber))
    )
    if connection.info.server_version >= FAILOVER_SINCE:
        options += sql.SQL(", failover = true")
    # Of any origin, which is the default: what triggers add to a copied row, such as counters
    # of the people here, is published like all else.
    connection.execute(
        sql.SQL("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH ({})").format(
            sql.Identifier(subscription_name(publisher)),
            sql.Literal(conninfo(publisher.replication)),
            sql.Identifier(PUBLICATION),
            options,
        )
    )


def connect_to(connection: Connection, publisher: Shard) -> None:
    """Lead a subscription to where its publisher is now."""
    if publisher.replication is None:
        raise MeshError(problem=f"{publisher.name} has no URL for replication")
    connection.execute(
        sql.SQL("ALTER SUBSCRIPTION {} CONNECTION {}").format(
            sql.Identifier(subscription_name(publisher)),
            sql.Literal(conninfo(publisher.replication)),
        )
    )


def enable(connection: Connection, name: str) -> None:
    """Let a subscription go on."""
    connection.execute(sql.SQL("ALTER SUBSCRIPTION {} ENABLE").format(sql.Identifier(name)))


def note(connection: Connection, name: str, text: str) -> None:
    """Write down for which state of both shards a subscription is made."""
    connection.execute(
        sql.SQL("COMMENT ON SUBSCRIPTION {} IS {}").format(sql.Identifier(name), sql.Literal(text))
    )


def drop(connection: Connection, name: str) -> None:
    """Drop a subscription, wherever its publisher is; its slot is not touched."""
    identifier = sql.Identifier(name)
    with connection.transaction():
        for action in (
            "ALTER SUBSCRIPTION {} DISABLE",
            "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
        ):
            connection.execute(sql.SQL(action).format(identifier))
        connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(identifier))


def wait_running(connection: Connection, name: str, seconds: float = _WAIT) -> bool:
    """Wait until a subscription is at work, and tell whether it is."""
    deadline = monotonic() + seconds
    running = "SELECT count(*) FROM pg_stat_subscription WHERE subname = %s AND pid IS NOT NULL"
    while not value(connection, running, name):
        if monotonic() > deadline:
            return False
        sleep(_PAUSE)
    return True
