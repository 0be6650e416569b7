"""Lets whoever writes to the catalog wait for a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from psycopg.errors import LockNotAvailable

from elearning.cluster.mesh.connecting import Connection
from elearning.models.publication import copied_tables

__all__ = ["writers_waiting"]

_WAIT = 10  # seconds
_PAUSE = 0.05
# All tables together in less than a second, PostgreSQL's deadlock_timeout: where a writer has one
# table and wants another, it is this that gives way.
_FOR_A_TABLE = "150ms"


@contextmanager
def writers_waiting(home: Connection) -> Iterator[None]:
    """Keep the copied tables from being written to, for the time of the block.

    In a transaction of this connection; what is committed before the block is all there is.

    Raises:
        LockNotAvailable: they are written to all the time.
    """
    tables = ", ".join(f"public.{table.name}" for table in copied_tables())
    deadline = monotonic() + _WAIT
    while True:
        home.execute("BEGIN")
        try:
            home.execute(f"SET LOCAL lock_timeout = '{_FOR_A_TABLE}'".encode())
            home.execute(f"LOCK TABLE {tables} IN SHARE MODE".encode())
        except LockNotAvailable:
            home.execute("ROLLBACK")
            if monotonic() > deadline:
                raise
            sleep(_PAUSE)
        else:
            break
    try:
        yield
    finally:
        home.execute("ROLLBACK")  # nothing was written
