"""Faults of real servers, switched on and off by tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import psycopg

from elearning.cluster.embedded import EmbeddedCluster
from elearning.errors import ClusterError, ElearningError
from elearning.testing.nodes import Nodes

__all__ = ["Switches"]

NOT_PAUSED = "not paused"


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
        self._nodes = Nodes(cluster, max_wait)
        self._silent = self._nodes.silent
        self._down: set[str] = set()
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
        if self._nodes.replay_state(node) == NOT_PAUSED:
            self._paused.add(node)
        self._nodes.ask(node, "SELECT pg_wal_replay_pause()")
        self._nodes.wait_replay(node, "paused")

    def resume_replay(self, node: str) -> None:
        """Let a replica replay again; nothing happens where it does.

        Raises:
            ClusterError: the node is no replica, or does not answer.
        """
        if self._nodes.replay_state(node) != NOT_PAUSED:
            self._nodes.ask(node, "SELECT pg_wal_replay_resume()")
            self._nodes.wait_replay(node, NOT_PAUSED)
        self._paused.discard(node)

    @contextmanager
    def replay_paused(self, node: str) -> Iterator[None]:
        """Pause a replica's replay for the time of a block."""
        self.pause_replay(node)
        try:
            yield
        finally:
            # It may have been killed or promoted meanwhile.
            if node in self._paused:
                self.resume_replay(node)

    def catch_up(self, node: str) -> None:
        """Wait until a replica shows all that its primary has committed by now.

        Raises:
            ClusterError: the node is no replica, its replay is paused, or it is too slow.
        """
        if self._nodes.replay_state(node) != NOT_PAUSED:
            message = f"{node} cannot catch up: its replay is paused"
            raise ClusterError(message)
        self._nodes.wait_replayed(node)

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
        status = self._nodes.status(node)
        if status.follows in self._silent:
            message = f"{node} would not stream: {status.follows} is silent"
            raise ClusterError(message)
        self._down.add(node)
        handle.stop()
        self._forget(node)
        handle.start()
        self._nodes.wait_streaming(node)
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
        if self._nodes.status(node).kind == "postgresql":
            self._nodes.ask(node, "SELECT 1")
            self._nodes.wait_streaming(node)

    @contextmanager
    def silenced(self, node: str) -> Iterator[None]:
        """Silence a node for the time of a block."""
        self.silence(node)
        try:
            yield
        finally:
            if node in self._silent:
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
                self._nodes.check_speaks(status.name)
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
                and node.name in self._nodes.streaming_with(node.name)
                and self._nodes.replay_state(node.name) == NOT_PAUSED
            ):
                self.catch_up(node.name)

    def _forget(self, node: str) -> None:
        """A server that starts anew neither is silent nor pauses."""
        self._silent.discard(node)
        self._paused.discard(node)

    def _move(self, node: str, change: Callable[[], None]) -> None:
        """Change who follows whom; one that fails may have come half way."""
        shard = self._nodes.status(node).shard
        self._nodes.check_speaks(node)
        if shard:
            self._moved.add(shard)
        change()
