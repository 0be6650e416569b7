"""One migration at a time on a shard."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from elearning.errors import ElearningError, MigrationLocked

__all__ = ["LOCK_KEY", "migration_lock"]

LOCK_KEY = int.from_bytes(b"elearnin")
"""Of the advisory lock; such locks are per database, and so per shard."""

_PAUSE = 0.2  # seconds between two tries
_TRY = text("SELECT pg_try_advisory_lock(:key)")
_RELEASE = text("SELECT pg_advisory_unlock(:key)")
_HOLDER = text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (CAST(classid AS bigint) << 32) + CAST(objid AS bigint) = :key"
)

logger = logging.getLogger("elearning.migrations")


@contextmanager
def migration_lock(connection: Connection, shard: str, wait: float) -> Iterator[None]:
    """Hold the lock of a shard, for the session of this connection.

    Tried again and again, each time in a transaction of its own: one that waited
    inside a transaction would stop another's CREATE INDEX CONCURRENTLY.

    Args:
        connection: to the shard's primary.
        shard: its name, for the messages.
        wait: seconds after which a lock that another holds is given up.

    Raises:
        MigrationLocked: another migration still holds it then.
    """
    deadline = time.monotonic() + wait
    waits = False
    while not connection.scalar(_TRY, {"key": LOCK_KEY}):
        pid = connection.scalar(_HOLDER, {"key": LOCK_KEY})
        connection.rollback()
        if time.monotonic() >= deadline:
            raise MigrationLocked(shard=shard, pid=pid, seconds=f"{wait:g}")
        if not waits:
            waits = True
            logger.warning(
                "shard %s: another migration runs (process %s of the server), waiting up to %g s",
                shard,
                pid,
                wait,
            )
        time.sleep(_PAUSE)
    connection.rollback()
    try:
        yield
    finally:
        # With a broken connection the session has ended, and its locks with it.
        with suppress(SQLAlchemyError, ElearningError):
            connection.rollback()
            connection.scalar(_RELEASE, {"key": LOCK_KEY})
            connection.rollback()
