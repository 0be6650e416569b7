"""The pools of a node's connections."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic

from psycopg import Error
from sqlalchemy import AsyncAdaptedQueuePool, PoolProxiedConnection, QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.util.concurrency import in_greenlet

from elearning.errors import NodeUnavailable, PoolExhausted, RoutingError
from elearning.routing.failures import was_answered
from elearning.routing.node import Node
from elearning.text import first_line

__all__ = ["AsyncNodePool", "NodePool"]


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
        if node.is_closed:
            raise node.unavailable(node.problem or "it is left out")
        begun = monotonic()
        try:
            for _ in range(node.address.count(",")):
                # What is no primary any more, the next try passes over.
                with suppress(NodeUnavailable):
                    return self._wait(node)
            return self._wait(node)
        except PoolTimeout:
            raise PoolExhausted(node=node.name, size=self.size(), seconds=self.timeout()) from None
        except NodeUnavailable as error:
            # Of another role, or waited for in vain: nothing that a next try would change.
            node.leave_out(str(error.values["problem"]), took=inf)
            raise
        except Error as error:
            if not was_answered(error):
                node.leave_out(first_line(error), took=monotonic() - begun)
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

    def connect(self) -> PoolProxiedConnection:
        """Return a connection.

        Raises:
            RoutingError: the caller is synchronous.
            NodeUnavailable: the node is left out.
            PoolExhausted: all connections were in use for too long.
        """
        if not in_greenlet():
            message = "these engines are asynchronous: use AsyncRoutingSession"
            raise RoutingError(message)
        return super().connect()
