"""Waits until the copies of the catalog are as far as what was committed."""

from __future__ import annotations

from contextlib import ExitStack

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from elearning.config import Settings
from elearning.routing import Engines

__all__ = ["copies_of", "log_something", "wait_copied", "wait_sent"]

_LOG_SOMETHING = text("SELECT pg_logical_emit_message(true, 'elearning', 'marked')")
_POSITION = text("SELECT CAST(pg_current_wal_flush_lsn() AS text)")
_SLOTS = (
    "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() "
    "AND starts_with(slot_name, 'elearning_')"
)
# Asked again and again by the server itself: a round trip takes longer than a copy.
_WAIT = f"""
DO $$
BEGIN
    FOR turn IN 1..{{turns}} LOOP
        IF {{copies}} <= ({_SLOTS} AND confirmed_flush_lsn >= '{{position}}'::pg_lsn) THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.002);
    END LOOP;
    RAISE EXCEPTION 'copies are late';
END
$$
"""
_TURN = 0.0022  # seconds, about


def copies_of(settings: Settings, shard: str) -> int:
    """Return how many shards have copies of what a shard publishes."""
    one = settings.shard(shard)
    return len(settings.shards) - 1 if one.regions and one.replication else 0


def log_something(connection: Connection) -> None:
    """Write to the log, so that COMMIT flushes what other transactions have committed, too."""
    connection.execute(_LOG_SOMETHING)


def wait_sent(connection: Connection, copies: int, max_wait: float) -> bool:
    """Tell whether all copies have what was committed on a primary before.

    Args:
        connection: to the primary, after a commit that was flushed.
        copies: how many there must be.
        max_wait: seconds.
    """
    if not copies:
        return True
    position = connection.scalar(_POSITION)
    wait = _WAIT.format(turns=int(max_wait / _TURN) + 1, copies=copies, position=position)
    try:
        connection.exec_driver_sql(wait)
    except DBAPIError as error:
        if "copies are late" not in str(error.orig):
            raise
        connection.rollback()
        return False
    connection.rollback()
    return True


def wait_copied(engines: Engines, max_wait: float = 10.0) -> None:
    """Wait until what was committed on every shard has been applied on all others.

    Args:
        engines: of the cluster.
        max_wait: seconds.

    Raises:
        TimeoutError: some copy is still late.
    """
    settings = engines.settings
    publishers = [each.name for each in settings.shards if copies_of(settings, each.name)]
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(engines.primary(name).engine.connect()) for name in publishers
        }
        for connection in opened.values():
            log_something(connection)
            connection.commit()
        for name, connection in opened.items():
            if not wait_sent(connection, copies_of(settings, name), max_wait):
                message = f"copies of {name}'s courses are late after {max_wait:g} s"
                raise TimeoutError(message)
