"""Questions and orders of streaming replication, on a superuser's connection."""

from __future__ import annotations

import re

import psycopg

from elearning.cluster.embedded.processes import wait_until

__all__ = [
    "Connection",
    "drop_slot",
    "fork",
    "is_beyond",
    "is_paused",
    "is_replica",
    "make_slot",
    "promote",
    "streams",
]

Connection = psycopg.Connection[tuple[object, ...]]

# Timeline 1 has no history, and nothing forked from it.
HISTORY = (
    "SELECT pg_read_file('pg_wal/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) "
    "|| '.history', true)"
)
LAST_FORK = re.compile(r"^\s*\d+\s+([0-9A-F]+/[0-9A-F]+)", re.MULTILINE)


def is_replica(connection: Connection) -> bool:
    """Tell whether the server replays another one's log."""
    return bool(_value(connection, "SELECT pg_is_in_recovery()"))


def is_paused(connection: Connection) -> bool:
    """Tell whether a replica's replay is paused; then it does not connect to its primary."""
    return bool(_value(connection, "SELECT pg_is_wal_replay_paused()"))


def promote(connection: Connection, seconds: float) -> bool:
    """Make a replica a primary; tell whether it was one, and took a write, by then."""
    connection.execute("SELECT pg_promote(wait => false)")
    if not wait_until(lambda: not is_replica(connection), seconds):
        return False
    connection.execute("SELECT pg_logical_emit_message(true, 'elearning', 'promoted')")
    return True


def streams(connection: Connection, port: int) -> bool:
    """Tell whether a replica receives from the server behind this port."""
    return bool(
        _value(
            connection,
            "SELECT count(*) FROM pg_stat_wal_receiver "
            "WHERE status = 'streaming' AND sender_port = %s",
            port,
        )
    )


def fork(connection: Connection) -> str | None:
    """Return the position that a primary was promoted at; None if it never was."""
    forks = LAST_FORK.findall(str(_value(connection, HISTORY) or ""))
    return forks[-1] if forks else None


def is_beyond(connection: Connection, position: str | None) -> bool:
    """Tell whether a replica has received or replayed more than this."""
    return bool(
        _value(
            connection,
            "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) > %s::pg_lsn",
            position,
        )
    )


def make_slot(connection: Connection, name: str) -> None:
    """Make the slot of a replica that is going to follow, unless it is there."""
    connection.execute(
        "SELECT pg_create_physical_replication_slot(%(name)s, immediately_reserve => true) "
        "WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %(name)s)",
        {"name": name},
    )


def drop_slot(connection: Connection, name: str) -> bool:
    """Remove a slot, unless it is in use; tell whether it is gone."""
    connection.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
        "WHERE slot_name = %s AND NOT active",
        [name],
    )
    return not _value(
        connection, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", name
    )


def _value(connection: Connection, statement: str, *values: object) -> object:
    row = connection.execute(statement.encode(), values or None).fetchone()
    return row[0] if row else None
