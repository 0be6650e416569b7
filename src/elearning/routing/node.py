"""One PostgreSQL server of a shard, with its pools."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from weakref import WeakSet

from psycopg import Error
from sqlalchemy import AsyncAdaptedQueuePool, Connection, Engine, PoolProxiedConnection, QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeout

from elearning.config import address_of
from elearning.errors import NodeUnavailable, PoolExhausted
from elearning.routing.failures import first_line, was_answered
from elearning.routing.token import NOTHING, Position
from elearning.routing.wire import Wire

__all__ = ["AsyncNodePool", "Node", "NodePool", "Role", "ShardState"]

logger = logging.getLogger("elearning.routing")


class Role(StrEnum):
    """What a node is for."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(eq=False, slots=True)
class ShardState:
    """What this process has seen of a shard."""

    written: Position = NOTHING
    """The farthest that a primary is known to have written. One of an older timeline was
    replaced, and is never written to."""
    alone: bool = False
    """Whether the primary reads because every replica is left out."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class Node:
    """One PostgreSQL server of a shard, as this process reaches it.

    ``engine`` runs transactions, ``reader`` every statement by itself: no BEGIN and
    ROLLBACK round trips. A replica has one pool for both; a primary's ``reader`` has a small
    one of its own, so that reads which no replica serves leave connections for writes.
    """

    name: str
    shard: str
    role: Role
    state: ShardState
    engine: Engine = field(init=False)
    reader: Engine = field(init=False)
    read_only: Engine = field(init=False)
    """Runs transactions that the server lets write nothing."""
    arguments: dict[str, object] = field(default_factory=dict)
    """How it is connected to, beside what its URL says."""
    wires: WeakSet[Wire] = field(default_factory=WeakSet)
    """Its open connections."""
    committing: WeakSet[Connection] = field(default_factory=WeakSet)
    """Connections that were sent COMMIT, and whose session does not know the answer yet."""
    problem: str | None = None
    """Why nobody connects to it now: it did not answer, or is not what it is for."""
    lag: str | None = None
    """Why a replica is not read: how far it is behind."""
    replayed: Position | None = None
    """The farthest position that a replica was seen to have replayed."""
    slow_until: float = 0.0
    """On the clock of ``time.monotonic``: it has just been waited for in vain."""
    former: set[tuple[str, str]] = field(default_factory=set)
    """Host and port of primaries that were replaced, of several in the URL."""
    last_address: tuple[str, str] | None = None
    """Host and port where the latest connection went, of several in the URL."""

    @property
    def address(self) -> str:
        """Host and port, without user and password."""
        return address_of(self.engine.url)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines that have a pool."""
        own = self.engine.pool is not self.reader.pool
        return (self.engine, self.reader) if own else (self.reader,)

    @property
    def is_fit(self) -> bool:
        """Whether it may be read."""
        return self.problem is None and self.lag is None

    def forget_replay(self) -> None:
        """Trust nothing that was seen: a replica that was restarted may be behind that again."""
        self.replayed = None

    def leave_out(self, problem: str) -> None:
        """Let nobody connect until it is seen to answer again."""
        self.forget_replay()
        if self.problem is None:
            logger.warning("%s at %s is left out: %s", self.name, self.address, problem)
        self.problem = problem

    def give_up(self, problem: str) -> None:
        """Leave it out, and tell those who wait for an answer of it: they would wait on."""
        self.leave_out(problem)
        for wire in list(self.wires):
            wire.cut()

    def take_back(self) -> None:
        """Let it be used again."""
        if self.problem is not None:
            logger.warning("%s at %s is back", self.name, self.address)
        self.problem = None

    def unavailable(self, problem: str) -> NodeUnavailable:
        """Return the error that says so."""
        return NodeUnavailable(node=self.name, address=self.address, problem=problem)


class NodePool(QueuePool):
    """A pool that does not wait for a node which is known not to answer."""

    node: Node | None = None
    watch: Callable[[], None] | None = None
    """Begins to look at the nodes from time to time, at the first connection."""
    longest_wait: float = 0.0
    """Seconds to wait for a connection, in all; what the pool was made with is a part of it."""

    def connect(self) -> PoolProxiedConnection:
        """Return a connection.

        Raises:
            NodeUnavailable: the node is left out.
            PoolExhausted: all connections were in use for too long.
        """
        node = self.node
        if node is None or self.watch is None:
            return super().connect()
        self.watch()
        if node.problem is not None:
            raise node.unavailable(node.problem)
        known = len(node.former)
        try:
            return self._wait(node)
        except PoolTimeout:
            raise PoolExhausted(node=node.name, size=self.size(), seconds=self.timeout()) from None
        except NodeUnavailable as error:
            if len(node.former) > known:
                # A former primary, which the next try passes over.
                return self.connect()
            node.leave_out(str(error.values["problem"]))
            raise
        except Error as error:
            if not was_answered(error):
                node.leave_out(first_line(error))
            raise

    def timeout(self) -> float:
        """Return how many seconds a connection is waited for."""
        return self.longest_wait

    def _wait(self, node: Node) -> PoolProxiedConnection:
        """Wait for a place, but no longer than the node is there.

        Where a connection could not be opened, SQLAlchemy wakes nobody who waits for its place.
        """
        end = monotonic() + self.timeout()
        while True:
            try:
                return super().connect()
            except PoolTimeout:
                if node.problem is not None:
                    raise node.unavailable(node.problem) from None
                if monotonic() >= end:
                    raise

    def recreate(self) -> NodePool:
        """Return an empty pool of the same kind, for the same node."""
        pool = super().recreate()
        if isinstance(pool, NodePool):
            pool.node, pool.watch = self.node, self.watch
            pool.longest_wait = self.longest_wait
            return pool
        raise TypeError


class AsyncNodePool(NodePool, AsyncAdaptedQueuePool):
    """The same for asyncio."""
