"""How far a primary has written, and which replica has replayed that."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from random import Random
from time import monotonic

from sqlalchemy import Connection

from elearning.errors import NodeUnavailable, PoolExhausted
from elearning.routing.commits import CURRENT, HOW, Committing, position_of
from elearning.routing.node import Node
from elearning.routing.token import UNKNOWN, Position

__all__ = ["choose_replica", "committed_position", "current_position", "has_replayed"]

logger = logging.getLogger("elearning.routing")

# Where nothing was written lately, whole pages are flushed, and the log may end inside a record
# whose rest follows seconds later: something to commit makes it end after one.
_PAGE = 8192
_LOG_SOMETHING = "SELECT pg_logical_emit_message(true, 'elearning', 'position')"
# The server sleeps, not this process: that suits asyncio too.
_REPLAYED = (
    "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() >= CAST(%(lsn)s AS pg_lsn), "
    "(SELECT received_tli FROM pg_stat_wal_receiver) FROM pg_sleep(%(seconds)s)"
)
_random = Random()  # noqa: S311 - it spreads the load; a test's own seed is left alone
_FIRST_PAUSE = 0.001
_SLOW = 1.0  # seconds in which a replica is not waited for again after that was in vain


def current_position(connection: Connection) -> Position:
    """Return how far the primary at the other end has written, for who waits for a replica.

    Args:
        connection: outside of a transaction; AUTOCOMMIT from here on.
    """
    # BEGIN and ROLLBACK would be two more round trips.
    connection.execution_options(isolation_level="AUTOCOMMIT")
    how = connection.exec_driver_sql(HOW).scalar_one()
    position = position_of(how, *connection.exec_driver_sql(CURRENT).one())
    if position.lsn % _PAGE == 0:
        connection.exec_driver_sql(_LOG_SOMETHING)
        position = position_of(how, *connection.exec_driver_sql(CURRENT).one())
    return position


def committed_position(connection: Connection, driver: Committing | None) -> Position:
    """Return how far a primary has written, right after a COMMIT.

    Args:
        connection: that has sent it; it may be AUTOCOMMIT from here on.
        driver: psycopg's own, which may have been told with the answer.
    """
    told = None if driver is None else driver.position
    if told is None or told == UNKNOWN or told.lsn % _PAGE == 0:
        return current_position(connection)
    return told


def has_replayed(node: Node, position: Position, max_wait: float) -> bool:
    """Wait until a replica has replayed a position.

    A position of another timeline than the replica's is not waited for: it may never come.

    Args:
        node: the replica.
        position: what it must have replayed; one that it was seen to have
            reached before is not asked for again.
        max_wait: seconds to wait at most.
    """
    if _is_known(node, position):
        return True
    deadline = monotonic() + max_wait
    pause = 0.0
    with node.reader.connect() as connection:
        while True:
            is_replica, reached, timeline = connection.exec_driver_sql(
                _REPLAYED, {"lsn": position.sql_lsn, "seconds": pause}
            ).one()
            if timeline is None and node.replayed is not None:
                # It receives nothing now; it is on the timeline that it was seen on.
                timeline = node.replayed.timeline
            if not is_replica or (timeline or 0) > position.timeline:
                return False
            if reached and timeline == position.timeline:
                node.replayed = max(node.replayed or position, position)
                return True
            remaining = deadline - monotonic()
            if remaining <= 0:
                node.slow_until = monotonic() + _SLOW
                return False
            pause = min(max(2 * pause, _FIRST_PAUSE), remaining)


def choose_replica(
    replicas: Sequence[Node], needed: Position | None, max_wait: float
) -> Node | None:
    """Return a replica that is fit, and has replayed what is needed; None: there is none.

    Args:
        replicas: to choose from, at random.
        needed: what it must have replayed.
        max_wait: seconds to wait at most, in all.
    """
    fit = [node for node in replicas if node.is_fit]
    if needed is not None:
        ready = [node for node in fit if _is_known(node, needed)]
        if not ready:
            return _wait(fit, needed, max_wait)
        fit = ready
    if len(fit) < 2:  # noqa: PLR2004 - one is no choice
        return fit[0] if fit else None
    return _random.choice(fit)


def _wait(replicas: list[Node], needed: Position, max_wait: float) -> Node | None:
    deadline = monotonic() + max_wait
    _random.shuffle(replicas)
    for node in replicas:
        seconds = 0.0 if node.slow_until > monotonic() else max(0.0, deadline - monotonic())
        try:
            if has_replayed(node, needed, seconds):
                return node
        except (NodeUnavailable, PoolExhausted) as error:
            logger.warning("%s", error)
    return None


def _is_known(node: Node, position: Position) -> bool:
    seen = node.replayed
    return seen is not None and seen.timeline == position.timeline and seen.lsn >= position.lsn
