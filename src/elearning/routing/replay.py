"""How far a primary has written and a replica has replayed."""

from __future__ import annotations

import logging
from time import monotonic

from sqlalchemy import Connection, text

from elearning.errors import NodeUnavailable
from elearning.routing.engines import Node
from elearning.routing.token import Position

__all__ = ["current_position", "has_replayed", "is_fit"]

# The flushed position: with synchronous_commit on it includes the commit that
# came before, and unlike the insert position it is not ahead of what is sent.
_CURRENT = "SELECT pg_walfile_name(lsn), lsn::text FROM pg_current_wal_flush_lsn() AS lsn"
# The server sleeps, not this process: that suits asyncio too. On a promoted
# node the replay position is frozen, hence the first condition.
_REPLAYED = text(
    "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= CAST(:lsn AS pg_lsn) "
    "AND :timeline = (SELECT received_tli FROM pg_stat_wal_receiver) "
    "FROM pg_sleep(:seconds)"
)
_FIRST_PAUSE = 0.001
_REST = 5.0  # seconds that a replica is left out after it did not answer

logger = logging.getLogger("elearning.routing")


def current_position(connection: Connection) -> Position:
    """Return how far the primary at the other end has written."""
    walfile, lsn = connection.exec_driver_sql(_CURRENT).one()
    return Position.from_sql(walfile, lsn)


def has_replayed(node: Node, position: Position, max_wait: float) -> bool:
    """Wait until a replica has replayed a position.

    Args:
        node: the replica.
        position: what it must have replayed; one that it was seen to have
            reached before is not asked for again.
        max_wait: seconds to wait at most.
    """
    if node.replayed is not None and node.replayed >= position:
        node.reader.connect().close()
        return True
    deadline = monotonic() + max_wait
    pause = 0.0
    with node.reader.connect() as connection:
        while not connection.scalar(
            _REPLAYED,
            {"lsn": position.sql_lsn, "timeline": position.timeline, "seconds": pause},
        ):
            remaining = deadline - monotonic()
            if remaining <= 0:
                return False
            pause = min(max(2 * pause, _FIRST_PAUSE), remaining)
    if node.replayed is None or position > node.replayed:
        node.replayed = position
    return True


def is_fit(node: Node, needed: Position | None, max_wait: float) -> bool:
    """Tell whether a replica answers, and has replayed what is needed.

    One that does not answer is left out for some seconds, with a warning.
    """
    if monotonic() < node.left_out_until:
        return False
    try:
        if needed is not None:
            return has_replayed(node, needed, max_wait)
        node.reader.connect().close()
    except NodeUnavailable as error:
        logger.warning("left out for %.0f s: %s", _REST, error)
        node.left_out_until = monotonic() + _REST
        return False
    return True
