"""The slots that a publisher keeps for its subscribers, seen as the replicating role."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, sleep

from psycopg.errors import ObjectInUse, QueryCanceled

from elearning.cluster.mesh.connecting import FAILOVER_SINCE, Connection, value
from elearning.cluster.mesh.names import PREFIX
from elearning.errors import MeshError

__all__ = ["Slot", "advance", "create", "drop", "slots"]

_WAIT = 10  # seconds
_PAUSE = 0.05
# Of this database: a slot of another one on the same server is not ours.
_LIST = """
    SELECT slot_name, active, wal_status IS NOT DISTINCT FROM 'lost' FROM pg_replication_slots
    WHERE database = current_database() AND plugin = 'pgoutput' AND starts_with(slot_name, %s)
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot; one that is lost has been left behind by the log, and cannot be read any more."""

    name: str
    active: bool
    lost: bool


def slots(connection: Connection) -> dict[str, Slot]:
    """Return a publisher's slots of ours, by name."""
    rows = connection.execute(_LIST, [PREFIX]).fetchall()
    return {name: Slot(name, active, lost) for name, active, lost in rows}


def create(connection: Connection, name: str) -> None:
    """Make a slot; it waits for the transactions that are open, within a bound.

    Since PostgreSQL 17 it survives a promotion, where replicas synchronize their slots.

    Raises:
        MeshError: a transaction stays open.
    """
    arguments = "%s, 'pgoutput', false, false"
    if connection.info.server_version >= FAILOVER_SINCE:
        arguments += ", true"
    connection.execute(f"SET statement_timeout = '{_WAIT}s'".encode())
    try:
        connection.execute(
            f"SELECT pg_create_logical_replication_slot({arguments})".encode(), [name]
        )
    except QueryCanceled:
        raise MeshError(
            problem=f"a transaction that has written stays open on the publisher's server, so "
            f"no slot could be made in {_WAIT} s: pg_stat_activity tells whose it is"
        ) from None
    finally:
        connection.execute("RESET statement_timeout")


def advance(connection: Connection, name: str) -> None:
    """Let a slot begin with what is committed from now on."""
    # Its COMMIT flushes all that was committed before, also without synchronous_commit.
    connection.execute("SET synchronous_commit = local")
    connection.execute("SELECT pg_logical_emit_message(true, 'elearning', 'copied')")
    connection.execute("SELECT pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())", [name])


def drop(connection: Connection, name: str) -> None:
    """Drop a slot if it is there; who reads from it is sent away.

    Raises:
        MeshError: it stays in use.
    """
    deadline = monotonic() + _WAIT
    while True:
        try:
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE slot_name = %s",
                [name],
            )
        except ObjectInUse:
            if monotonic() > deadline:
                raise MeshError(problem=f"the slot {name} stays in use") from None
            value(
                connection,
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                "WHERE slot_name = %s AND active_pid IS NOT NULL",
                name,
            )
            sleep(_PAUSE)
        else:
            return
