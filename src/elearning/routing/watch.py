"""Looks at every node from time to time, in a thread of its own.

It finds out what no statement can tell in time: a node that hangs, one that is back, one
whose role has changed, and how far each replica is behind.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from math import inf
from random import Random
from time import monotonic
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg.rows import namedtuple_row

from elearning.config import Limits, connect_options
from elearning.routing.connecting import IS_PRIMARY, IS_REPLICA, former_primary, order_hosts
from elearning.routing.failures import was_answered
from elearning.routing.node import Node, Role
from elearning.routing.token import Position, lsn_of
from elearning.routing.wire import Wire
from elearning.text import first_line

__all__ = ["Watch"]

logger = logging.getLogger("elearning.routing")

# A replica's receiver knows how far its primary is, also when nobody else can ask that.
_LOOK = """
SELECT pg_is_in_recovery() AS is_replica,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
            ELSE pg_current_wal_lsn() END::text AS lsn,
       CASE WHEN pg_is_in_recovery() THEN receiver.received_tli
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
       END AS timeline,
       receiver.latest_end_lsn::text AS primary_lsn,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float AS age
FROM (VALUES (1)) AS one LEFT JOIN pg_stat_wal_receiver AS receiver ON true
"""
_GRACE = 0.05  # seconds in which an answer is read that came while this process stood still
_random = Random()  # noqa: S311 - it spreads the load; a test's own seed is left alone
_END = 5.0  # seconds to end the thread in


class Watch:
    """Keeps ``problem``, ``lag`` and ``replayed`` of the nodes up to date.

    Args:
        nodes: the primaries and replicas of all shards.
        limits: when a node is left out.
    """

    def __init__(self, nodes: Sequence[Node], limits: Limits) -> None:
        self._nodes = nodes
        self._limits = limits
        self.forget()

    def forget(self) -> None:
        """Know of no thread: in a process that was forked, there is none."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to look, unless that has begun."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="elearning-watch", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """End the thread and its connections."""
        with self._lock:
            thread, loop, self._thread, self._loop = self._thread, self._loop, None, None
        if thread is None or loop is None or thread is threading.current_thread():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_END)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        tasks = [loop.create_task(_Watcher(node, self._limits).run()) for node in self._nodes]
        try:
            loop.run_forever()
        finally:
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()


class _Watcher:
    """Looks at one node."""

    def __init__(self, node: Node, limits: Limits) -> None:
        self._node = node
        self._limits = limits
        self._options = (
            connect_options(node.engine.url)
            | node.arguments
            | {
                "application_name": "elearning-watch",
                "row_factory": namedtuple_row,
                "autocommit": True,
            }
        )
        self._connection: AsyncConnection[Any] | None = None
        self._wire: Wire | None = None

    async def run(self) -> None:
        # Soon, since until then nobody notices that the node hangs; and not at once, since much
        # that connects is done in a moment.
        interval = self._limits.check_interval / 4
        try:
            while True:
                await asyncio.sleep(interval)
                interval = self._limits.check_interval * _random.uniform(0.75, 1.25)
                try:
                    await self._look()
                except Exception:
                    # Whatever it is must not end the looking.
                    logger.exception("looking at %s failed", self._node.name)
                    await self._close()
        finally:
            await self._close()

    async def _look(self, tries: int | None = None) -> None:
        node = self._node
        # Of several hosts, the next one may be the right one.
        tries = node.address.count(",") if tries is None else tries
        begun = monotonic()
        try:
            seen = await self._seen()
        except Error as error:
            if not was_answered(error):
                node.give_up(first_line(error), took=monotonic() - begun)
            await self._close()
            return
        if seen is None:
            node.give_up(f"no answer for {self._limits.max_silence:g} s", took=inf)
        elif problem := self._judge(seen):
            if self._wire is not None:
                node.former.add(self._wire.address)
            await self._close()
            if tries:
                await self._look(tries - 1)
            else:
                node.leave_out(problem, took=inf)
        else:
            node.take_back()

    async def _seen(self) -> Any:
        """Return what the node says of itself, or None where it says nothing.

        Raises:
            psycopg.Error: it cannot be asked.
        """
        if self._connection is not None:
            try:
                return await self._ask(self._connection)
            except Error:
                # The server may have been restarted meanwhile.
                await self._close()
        self._node.forget_replay()
        order_hosts(self._node, self._options)
        self._connection = await AsyncConnection.connect(**self._options)
        self._wire = Wire(self._connection)
        self._node.wires.add(self._wire)
        return await self._ask(self._connection)

    async def _ask(self, connection: AsyncConnection[Any]) -> Any:
        task = asyncio.ensure_future(_one_row(connection))
        try:
            # The grace is for an answer that came while this process stood still.
            for seconds in (self._limits.max_silence, _GRACE):
                await asyncio.wait({task}, timeout=seconds)
                if task.done():
                    return task.result()
        finally:
            if not task.done():
                # Not by cancelling: the driver would ask the silent server to cancel, and wait
                # for it.
                if self._wire is not None:
                    self._wire.cut()
                await asyncio.gather(task, return_exceptions=True)
        await self._close()
        return None

    async def _close(self) -> None:
        connection, self._connection, self._wire = self._connection, None, None
        if connection is not None:
            await connection.close()

    def _judge(self, seen: Any) -> str | None:
        """Note what was seen, and return what is wrong with the node's role."""
        node, state = self._node, self._node.state
        if seen.is_replica is not (node.role is Role.REPLICA):
            return IS_REPLICA if seen.is_replica else IS_PRIMARY
        if seen.timeline is not None:
            if node.role is Role.PRIMARY and seen.timeline < state.written.timeline:
                return former_primary(node, seen.timeline)
            position = Position(seen.timeline, lsn_of(seen.lsn))
            state.written = max(
                state.written,
                position,
                Position(seen.timeline, lsn_of(seen.primary_lsn or seen.lsn)),
            )
            if node.role is Role.REPLICA:
                node.replayed = max(node.replayed or position, position)
        if node.role is Role.REPLICA:
            self._measure(state.written.lsn - lsn_of(seen.lsn), seen.age or 0.0)
        return None

    def _measure(self, behind: int, age: float) -> None:
        node = self._node
        # The age of what was replayed last is no lag where nothing is missing.
        if behind <= self._limits.max_lag_bytes or age <= self._limits.max_lag_seconds:
            if node.lag is not None:
                logger.warning("%s has caught up", node.name)
            node.lag = None
            return
        lag = f"{age:.0f} s and {behind} bytes behind its primary"
        if node.lag is None:
            logger.warning("%s is left out: %s", node.name, lag)
        node.lag = lag


async def _one_row(connection: AsyncConnection[Any]) -> Any:
    return await (await connection.execute(_LOOK)).fetchone()
