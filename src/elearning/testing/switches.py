"""Faults of real servers, switched on and off by tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg

from elearning.cluster.embedded import EmbeddedCluster, NodeStatus
from elearning.cluster.embedded.credentials import SUPERUSER
from elearning.cluster.embedded.processes import wait_until
from elearning.errors import ClusterError, ElearningError

__all__ = ["Switches"]

CONNECT_SECONDS = 5
DRIVER = "postgresql+psycopg://"
# One whose replay is paused connects again when it resumes; one that was promoted, never.
STREAMS = (
    "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') "
    "OR CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE true END"
)
# The log may end in the middle of a record, whose rest is sent with the next: this one is
# complete, for its COMMIT flushes it.
FLUSHED = "SELECT pg_current_wal_flush_lsn() FROM pg_logical_emit_message(true, 'elearning', '')"


class Switches:
    """Breaks the nodes of a cluster, and mends them.

    Nodes go by their names, such as "eu-replica-1". Each method returns when what it asks for is
    so. At the end of a ``with`` block everything is put back that was changed by this object.

    Args:
        cluster: that runs.
        max_wait: seconds to wait for a condition at most.
    """

    def __init__(self, cluster: EmbeddedCluster, *, max_wait: float = 20.0) -> None:
        self._cluster = cluster
        self._max_wait = max_wait
        self._down: set[str] = set()
        self._silent: set[str] = set()
        self._paused: set[str] = set()
        self._moved: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.put_back()

    def pause_replay(self, node: str) -> None:
        """Let a replica receive, but show nothing new.

        Raises:
            ClusterError: the node is no replica, or does not answer.
        """
        self._check_replica(node)
        if not self._is_paused(node):
            self._paused.add(node)
        self._ask(node, "SELECT pg_wal_replay_pause()")
        self._wait_replay(node, "paused")

    def resume_replay(self, node: str) -> None:
        """Let a replica replay again; nothing happens where it does.

        Raises:
            ClusterError: the node is no replica, or does not answer.
        """
        self._check_replica(node)
        self._ask(node, "SELECT pg_wal_replay_resume()")
        self._wait_replay(node, "not paused")
        self._paused.discard(node)

    @contextmanager
    def replay_paused(self, node: str) -> Iterator[None]:
        """Pause a replica's replay for the time of a block."""
        self.pause_replay(node)
        try:
            yield
        finally:
            self.resume_replay(node)

    def catch_up(self, node: str) -> None:
        """Wait until a replica shows all that its primary has committed by now.

        Raises:
            ClusterError: the node is no replica, its replay is paused, or it is too slow.
        """
        self._check_replica(node)
        if self._is_paused(node):
            message = f"{node} cannot catch up: its replay is paused"
            raise ClusterError(message)
        position = self._ask(self._status(node).follows or "", FLUSHED)
        self._wait(
            node,
            "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn",
            position,
            what=f"has not replayed {position}",
        )

    def stop(self, node: str) -> None:
        """Shut a node down as its operator would; nothing happens where it is down."""
        handle = self._cluster.node(node)
        if handle.pid is not None:
            self._down.add(node)
            handle.stop()
            self._forget(node)

    def kill(self, node: str) -> None:
        """Kill a node with all its processes, as a failing machine would."""
        handle = self._cluster.node(node)
        if handle.pid is not None:
            self._down.add(node)
            handle.kill()
            self._forget(node)

    def restart(self, node: str) -> None:
        """Start a node, after stopping it where it runs; replicas stream if their primary is up.

        Raises:
            ServerStartError: it does not take connections, or does not stream.
            ClusterError: its primary is silent, so it could not stream.
        """
        handle = self._cluster.node(node)
        status = self._status(node)
        if status.follows in self._silent:
            message = f"{node} would not stream: {status.follows} is silent"
            raise ClusterError(message)
        self._down.add(node)
        handle.stop()
        self._forget(node)
        handle.start()
        self._wait_streaming(node)
        self._down.discard(node)

    def silence(self, node: str) -> None:
        """Stop all processes of a node in their tracks: it accepts, and never answers.

        Raises:
            ClusterError: it does not run.
        """
        handle = self._cluster.node(node)
        if handle.pid is not None:
            self._silent.add(node)
        handle.pause()

    def speak(self, node: str) -> None:
        """Let a silent node go on, and wait until it answers; replicas stream.

        Raises:
            ClusterError: it does not run, or does not answer.
        """
        handle = self._cluster.node(node)
        handle.resume()
        self._silent.discard(node)
        # Of a node that runs, this is the wait until it is ready.
        handle.start()
        if self._status(node).kind == "postgresql":
            self._ask(node, "SELECT 1")
            self._wait_streaming(node)

    @contextmanager
    def silenced(self, node: str) -> Iterator[None]:
        """Silence a node for the time of a block."""
        self.silence(node)
        try:
            yield
        finally:
            self.speak(node)

    def promote(self, node: str, *, split_brain: bool = False) -> None:
        """Make a replica the primary of its shard, and wait until it takes writes.

        The other replicas follow it. At the end the shard goes back to its first topology, with
        what its present primary holds. Best on a cluster of its own, `failover_cluster`.

        Args:
            node: the replica.
            split_brain: leave the present primary running, and its other replicas with it.

        Raises:
            ClusterError: it is no replica that runs, or its primary still runs.
        """
        self._move(node, lambda: self._cluster.promote(node, split_brain=split_brain))
        self._paused.discard(node)

    def follow(self, node: str, primary: str) -> None:
        """Let a replica follow another primary of its shard, and wait until it streams.

        Raises:
            ClusterError: one is not what it should be, or the replica is ahead: `rejoin` it.
        """
        self._move(node, lambda: self._cluster.follow(node, primary))

    def rejoin(self, node: str, primary: str | None = None) -> None:
        """Make a former primary, or a lost replica, a new replica; what it held is gone.

        Args:
            node: running or not.
            primary: default: the shard's present one.

        Raises:
            ClusterError: the primary does not run, or is the node itself.
        """
        self._move(node, lambda: self._cluster.rejoin(node, primary))
        self._forget(node)
        self._down.discard(node)

    def restore(self, shard: str) -> None:
        """Give each node of a shard its first role again, and start those that are down.

        What the shard's present primary holds is kept.

        Raises:
            ClusterError: there is no such shard, or one of its nodes is silent.
        """
        for status in self._cluster.status():
            if status.shard == shard:
                self._check_speaks(status.name)
        self._cluster.restore(shard)
        self._moved.discard(shard)
        for status in self._cluster.status():
            if status.shard == shard:
                self._down.discard(status.name)

    def put_back(self) -> None:
        """Mend what this object has broken.

        Raises:
            ClusterError: not all could be mended; what could, is.
        """
        problems: list[str] = []
        touched = self._down | self._silent | self._paused | self._moved
        nodes = self._cluster.status()
        # A primary comes before its replicas.
        order = [node.name for node in nodes] + [*{node.shard or "" for node in nodes}]
        for names, mend in (
            (self._silent, self.speak),
            (self._moved, self.restore),
            (self._down, self.restart),
            (self._paused, self.resume_replay),
        ):
            for name in [name for name in order if name in names]:
                try:
                    mend(name)
                except (ElearningError, psycopg.Error, OSError) as error:
                    problems.append(f"{name}: {error}")
        if problems:
            message = "\n  ".join(["the cluster is not as it was:", *problems])
            raise ClusterError(message)
        for node in self._cluster.status():
            if (
                touched & {node.name, node.follows, node.shard}
                and node.name in self._streaming_with(node.name)
                and not self._is_paused(node.name)
            ):
                self.catch_up(node.name)

    def _forget(self, node: str) -> None:
        """A server that starts anew neither is silent nor pauses."""
        self._silent.discard(node)
        self._paused.discard(node)

    def _status(self, node: str) -> NodeStatus:
        self._cluster.node(node)  # raises where there is none
        return next(status for status in self._cluster.status() if status.name == node)

    def _wait_streaming(self, node: str) -> None:
        for replica in self._streaming_with(node):
            self._wait(replica, STREAMS, what="does not stream from its primary")

    def _streaming_with(self, node: str) -> list[str]:
        """Return the replicas that can stream when this node is up: its own, or itself."""
        nodes = self._cluster.status()
        up = {one.name for one in nodes if one.running} - self._silent
        return [
            one.name
            for one in nodes
            if one.name in up and one.follows in up and node in (one.name, one.follows)
        ]

    def _move(self, node: str, change: Callable[[], None]) -> None:
        """Change who follows whom; one that fails may have come half way."""
        shard = self._status(node).shard
        self._check_speaks(node)
        if shard:
            self._moved.add(shard)
        change()

    def _check_replica(self, node: str) -> None:
        status = self._status(node)
        if status.kind != "postgresql" or not self._ask(node, "SELECT pg_is_in_recovery()"):
            message = f"{node} is no replica: nothing is replayed there"
            raise ClusterError(message)

    def _check_speaks(self, node: str) -> None:
        if node in self._silent:
            message = f"{node} is silent: let it speak first"
            raise ClusterError(message)

    def _is_paused(self, node: str) -> bool:
        return bool(self._ask(node, "SELECT pg_is_wal_replay_paused()"))

    def _wait_replay(self, node: str, state: str) -> None:
        self._wait(
            node,
            "SELECT pg_get_wal_replay_pause_state() = %s",
            state,
            what=f"did not reach the state '{state}'",
        )

    def _wait(self, node: str, condition: str, *values: object, what: str) -> None:
        if not wait_until(lambda: bool(self._ask(node, condition, *values)), self._max_wait):
            message = f"{node} {what} after {self._max_wait} s"
            raise ClusterError(message)

    def _ask(self, node: str, statement: str, *values: object) -> Any:
        """Return the one value of a query by the superuser."""
        self._check_speaks(node)
        url = self._cluster.url(node, SUPERUSER).replace(DRIVER, "postgresql://")
        try:
            with psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_SECONDS
            ) as connection:
                row = connection.execute(statement.encode(), values or None).fetchone()
        except psycopg.OperationalError as error:
            message = f"{node} does not answer: {error}"
            raise ClusterError(message) from None
        return row[0] if row else None
