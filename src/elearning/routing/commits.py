"""psycopg's connections to a primary, which ask with a COMMIT how far the log reaches then.

By a question of its own that is one more round trip for each transaction that writes, at the
moment when the servers pass the transaction on to replicas and copies, and are busiest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Connection, generators
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from elearning.routing.token import Position

__all__ = [
    "CURRENT",
    "AsyncCommittingConnection",
    "Committing",
    "CommittingConnection",
    "position_of",
]

# No expression that PostgreSQL has to plan: with each COMMIT this takes a part of its time.
CURRENT = (
    "SELECT pg_walfile_name(pg_current_wal_flush_lsn()), pg_current_wal_flush_lsn()::text, "
    "pg_current_wal_insert_lsn()::text, current_setting('synchronous_commit')"
)
"""Tells how far a primary has written; `position_of` reads the answer."""
# One message of the simple protocol; it ends at an error, so that only after a COMMIT is asked.
_COMMIT = f"COMMIT; {CURRENT}".encode()


def position_of(walfile: str, flushed: str, inserted: str, commits: str) -> Position:
    """Return the position that `CURRENT` tells.

    The flushed one: with synchronous_commit on it includes the commit that came before, and
    unlike the inserted one it is not ahead of what is sent to replicas.
    """
    return Position.from_sql(walfile, inserted if commits == "off" else flushed)


class Committing:
    """What both kinds of connections do, in the generator that both of psycopg's run."""

    position: Position | None = None
    """How far the log reached at the last COMMIT; None: that was not told."""
    is_unanswered: bool = False
    """Whether a COMMIT was sent, and nobody knows what became of it."""

    def forget_commit(self) -> None:
        """Know nothing of what an earlier transaction was told."""
        self.position, self.is_unanswered = None, False

    if not TYPE_CHECKING:  # psycopg's own name, beyond its types

        def _commit_gen(self):  # noqa: ANN202 - its type is private too
            self.forget_commit()
            if (
                self._pipeline
                or self._num_transactions
                or self._tpc
                or self.pgconn.transaction_status == TransactionStatus.IDLE
            ):
                return (yield from super()._commit_gen())
            self._check_connection_ok()
            self.is_unanswered = True
            self.pgconn.send_query(_COMMIT)
            committed, *told = yield from generators.execute(self.pgconn)
            stands = committed.status == ExecStatus.COMMAND_OK
            self.is_unanswered = not stands and self.pgconn.status != ConnStatus.OK
            if not stands:
                raise error_from_result(committed, encoding=self.info.encoding)
            # Whatever became of the question, the COMMIT stands.
            if told and told[0].status == ExecStatus.TUPLES_OK:
                self.position = position_of(*(told[0].get_value(0, n).decode() for n in range(4)))


class CommittingConnection(Committing, Connection[Any]):
    """A `psycopg.Connection`."""


class AsyncCommittingConnection(Committing, AsyncConnection[Any]):
    """A `psycopg.AsyncConnection`."""
