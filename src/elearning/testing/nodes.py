"""What the switches ask the servers, and wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection

from elearning.cluster.embedded import EmbeddedCluster, NodeStatus
from elearning.cluster.embedded.credentials import SUPERUSER
from elearning.cluster.embedded.processes import wait_until
from elearning.errors import ClusterError

__all__ = ["Nodes"]

CONNECT_SECONDS = 5
DRIVER = "postgresql+psycopg://"
REPLAY_STATE = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END"
# One whose replay is paused connects again when it resumes; one that was promoted, never.
STREAMS = (
    "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') "
    "OR CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE true END"
)
# The log may end in the middle of a record, whose rest is sent with the next: this one is
# complete, for its COMMIT flushes it.
FLUSHED = "SELECT pg_current_wal_flush_lsn() FROM pg_logical_emit_message(true, 'elearning', '')"


class Nodes:
    """The nodes of a cluster, by their names; those that are silent are not asked.

    Args:
        cluster: that runs.
        max_wait: seconds to wait for a condition at most.
    """

    def __init__(self, cluster: EmbeddedCluster, max_wait: float) -> None:
        self.silent: set[str] = set()
        self._cluster = cluster
        self._max_wait = max_wait

    def status(self, node: str) -> NodeStatus:
        """Return what the cluster knows of a node.

        Raises:
            ClusterError: there is no such node.
        """
        self._cluster.node(node)  # raises where there is none
        return next(status for status in self._cluster.status() if status.name == node)

    def ask(self, node: str, statement: str, *values: object) -> Any:
        """Return the one value of a query by the superuser.

        Raises:
            ClusterError: the node does not answer.
        """
        with self._connect(node) as connection:
            return _value(connection, statement, *values)

    def check_speaks(self, node: str) -> None:
        """Refuse a node that is silent.

        Raises:
            ClusterError: it is.
        """
        if node in self.silent:
            message = f"{node} is silent: let it speak first"
            raise ClusterError(message)

    def replay_state(self, node: str) -> str:
        """Return the state of a replica's replay, as PostgreSQL calls it: "not paused" and so on.

        Raises:
            ClusterError: the node is a primary, or MongoDB.
        """
        state = self.ask(node, REPLAY_STATE) if self.status(node).shard else None
        if state is None:
            message = f"{node} is no replica: nothing is replayed there"
            raise ClusterError(message)
        return str(state)

    def streaming_with(self, node: str) -> list[str]:
        """Return the replicas that can stream when this node is up: its own, or itself."""
        nodes = self._cluster.status()
        up = {one.name for one in nodes if one.running} - self.silent
        return [
            one.name
            for one in nodes
            if one.name in up and one.follows in up and node in (one.name, one.follows)
        ]

    def wait_streaming(self, node: str) -> None:
        """Wait until these replicas stream."""
        for replica in self.streaming_with(node):
            self._wait(replica, STREAMS, what="does not stream from its primary")

    def wait_replay(self, node: str, state: str) -> None:
        """Wait until a replica's replay is in this state, as PostgreSQL calls it."""
        self._wait(
            node,
            "SELECT pg_get_wal_replay_pause_state() = %s",
            state,
            what=f"did not reach the state '{state}'",
        )

    def wait_replayed(self, node: str) -> None:
        """Wait until a replica has replayed what its primary has committed by now."""
        position = self.ask(self.status(node).follows or "", FLUSHED)
        self._wait(
            node,
            "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn",
            position,
            what=f"has not replayed {position}",
        )

    def _wait(self, node: str, condition: str, *values: object, what: str) -> None:
        with self._connect(node) as connection:
            if not wait_until(lambda: _value(connection, condition, *values), self._max_wait):
                message = f"{node} {what} after {self._max_wait} s"
                raise ClusterError(message)

    @contextmanager
    def _connect(self, node: str) -> Iterator[Connection[tuple[Any, ...]]]:
        self.check_speaks(node)
        url = self._cluster.url(node, SUPERUSER).replace(DRIVER, "postgresql://")
        try:
            with psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_SECONDS
            ) as connection:
                yield connection
        except psycopg.OperationalError as error:
            message = f"{node} does not answer: {error}"
            raise ClusterError(message) from None


def _value(connection: Connection[tuple[Any, ...]], statement: str, *values: object) -> Any:
    row = connection.execute(statement.encode(), values or None).fetchone()
    return row[0] if row else None
