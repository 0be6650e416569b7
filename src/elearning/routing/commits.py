"""psycopg's connections to a primary, which ask with a COMMIT how far the log reaches then.

By a question of its own that is one more round trip for each transaction that writes, at the
moment when the servers pass the transaction on to replicas and copies, and are busiest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Connection, generators
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from elearning.routing.token import UNKNOWN, Position

__all__ = [
    "CURRENT",
    "HOW",
    "AsyncCommittingConnection",
    "Committing",
    "CommittingConnection",
    "position_of",
]

# No expression that PostgreSQL has to plan: with each COMMIT this takes a part of its time.
CURRENT = (
    "SELECT pg_walfile_name(pg_current_wal_flush_lsn()), pg_current_wal_flush_lsn()::text, "
    "pg_current_wal_insert_lsn()::text"
)
"""Tells how far a primary has written; `position_of` reads the answer."""
HOW = "SHOW synchronous_commit"
"""Tells how the present transaction is committed, which SET LOCAL may have changed."""
# One message of the simple protocol; it ends at an error, so that only after a COMMIT is asked.
_COMMIT = f"{HOW}; COMMIT; {CURRENT}".encode()


def position_of(how: str, walfile: str, flushed: str, inserted: str) -> Position:
    """Return the position that `HOW` and `CURRENT` tell.

    The flushed one: with synchronous_commit on it includes the commit that came before, and
    unlike the inserted one it is not ahead of what is sent to replicas.
    """
    return Position.from_sql(walfile, inserted if how == "off" else flushed)


class Committing:
    """What both kinds of connections do, in the generator that both of psycopg's run."""

    position: Position | None = None
    """How far the log reached at the last COMMIT.

    UNKNOWN: it may stand, or stands and this was not told. None: no COMMIT stands.
    """

    def forget_commit(self) -> None:
        """Know nothing of an earlier transaction."""
        self.position = None

    if not TYPE_CHECKING:  # psycopg's own name, beyond its types

        def _commit_gen(self):  # noqa: ANN202 - its type is private too
            self.forget_commit()
            if (
                self._pipeline
                or self._num_transactions
                or self._tpc
                or self.pgconn.transaction_status != TransactionStatus.INTRANS
            ):
                return (yield from super()._commit_gen())
            self._check_connection_ok()
            self.position = UNKNOWN
            self.pgconn.send_query(_COMMIT)
            # Where it is interrupted, psycopg ends this all the same, and raises then.
            results = yield from generators.execute(self.pgconn)
            how, committed, told = [*results, None, None][:3]
            if committed is None or committed.status != ExecStatus.COMMAND_OK:
                if self.pgconn.status == ConnStatus.OK:
                    self.position = None
                raise error_from_result(committed or how, encoding=self.info.encoding)
            # Whatever became of the question, the COMMIT stands.
            if told is not None and told.status == ExecStatus.TUPLES_OK:
                self.position = position_of(
                    how.get_value(0, 0).decode(),
                    told.get_value(0, 0).decode(),
                    told.get_value(0, 1).decode(),
                    told.get_value(0, 2).decode(),
                )


class CommittingConnection(Committing, Connection[Any]):
    """A `psycopg.Connection`."""


class AsyncCommittingConnection(Committing, AsyncConnection[Any]):
    """A `psycopg.AsyncConnection`."""
