"""Which node of a shard is its primary: promotions, and the way back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from elearning.cluster.embedded import replication, roles
from elearning.cluster.embedded.credentials import SUPERUSER
from elearning.cluster.embedded.processes import is_stopped, wait_until
from elearning.cluster.embedded.starter import Starter
from elearning.cluster.embedded.topology import NodeSpec
from elearning.errors import ClusterError

__all__ = ["Failover"]

WAIT_SECONDS = 30
# A replica that was only cut off is back by then.
RETURN_SECONDS = 5


class Failover:
    """Changes who leads and who follows, on the servers and in what the folder remembers.

    Args:
        starter: of the cluster, whose folder is locked meanwhile.
    """

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._state = starter.state

    def promote(self, name: str, *, split_brain: bool = False) -> None:
        """Make a replica the primary of its shard, and wait until it can be written to.

        The other replicas then follow it; one that had received more is made anew.

        Args:
            name: of the replica.
            split_brain: leave the present primary running, and its other replicas with it.

        Raises:
            ClusterError: it is no replica that runs, or its primary still runs.
        """
        node = self._postgres_node(name)
        former = self._state.upstream(node)
        with self._connect(node) as connection:
            if not former or not replication.is_replica(connection):
                message = f"{name} is a primary already"
                raise ClusterError(message)
            if self._runs(former) and not split_brain:
                message = (
                    f"{former.name} still runs: stop or kill it first, or promote {name} beside "
                    "it with split_brain=True"
                )
                raise ClusterError(message)
            if not replication.promote(connection, WAIT_SECONDS):
                message = f"{name} was not promoted after {WAIT_SECONDS} s"
                raise ClusterError(message)
        self._starter.postgres(node).set_complete()
        self._state.follows[name] = None
        self._state.primaries[former.shard or ""] = name
        self._save()
        if not split_brain:
            for replica in self._state.followers(former):
                self._lead(replica, node)

    def follow(self, name: str, primary: str) -> None:
        """Let a running replica follow another primary of its shard, without copying anew.

        Raises:
            ClusterError: one is not what it should be, or the replica has received what this
                primary had not when it was promoted; then `rejoin` helps.
        """
        node, leader = self._pair(name, primary)
        with self._connect(node) as connection:
            if not replication.is_replica(connection):
                message = f"{name} is a primary: rejoin it"
                raise ClusterError(message)
            if replication.is_paused(connection):
                message = f"{name} cannot follow {primary}: its replay is paused"
                raise ClusterError(message)
        if self._state.upstream(node) != leader and self._is_ahead(node, leader):
            message = f"{name} is ahead of what {primary} was promoted with: rejoin it"
            raise ClusterError(message)
        self._lead_on(node, leader)

    def rejoin(self, name: str, primary: str | None = None) -> None:
        """Make a node a replica, by a new copy of the primary; what it held is gone.

        Not by pg_rewind: that wants full_page_writes, which throw-away servers do without.

        Args:
            name: of a former primary, or of a replica, running or not.
            primary: default: the shard's present one.

        Raises:
            ClusterError: the primary does not run, or is the node itself.
        """
        node = self._postgres_node(name)
        node, leader = self._pair(name, primary or self._state.primary(node.shard or "").name)
        # Before the data is removed: a primary without data would be started as an empty one.
        self._note(node, leader)
        server = self._starter.postgres(node)
        server.stop()
        server.account.remove(server.data)
        with self._connect(leader) as connection:
            # The copy comes with a slot of its own; the old one is in use for a moment yet.
            wait_until(lambda: replication.drop_slot(connection, node.slot), WAIT_SECONDS)
        self._starter.start([name])
        self._release(node, leader)
        # A former primary may have replicas still.
        for replica in self._state.followers(node):
            self._lead(replica, leader)

    def restore(self, shard: str) -> None:
        """Give each node of a shard its first role again, and start those that are down.

        The shard holds what its present primary holds.

        Raises:
            ClusterError: there is no such shard.
        """
        if shard not in self._state.topology.shards:
            message = f"no shard {shard!r}: there are {', '.join(self._state.topology.shards)}"
            raise ClusterError(message)
        first, present = self._state.topology.primary(shard), self._state.primary(shard)
        self._starter.start([present.name])
        if first != present:
            if not self._streams(first, present, RETURN_SECONDS):
                self.rejoin(first.name)
            # Its end is sent to the replicas before it stops.
            self._starter.postgres(present).stop()
            self.promote(first.name)
        for replica in self._state.topology.replicas_of(shard):
            if not self._streams(replica, first, RETURN_SECONDS):
                self.rejoin(replica.name)
        for node in self._state.nodes_of(shard):
            self._state.follows.pop(node.name, None)
        self._state.primaries.pop(shard, None)
        self._save()

    def _lead(self, replica: NodeSpec, leader: NodeSpec) -> None:
        """Let a replica follow a new primary, as well as its state allows."""
        if self._answers(replica) and self._is_ahead(replica, leader):
            self.rejoin(replica.name, leader.name)
        elif not self._answers(replica) or self._is_paused(replica):
            # It will find its new primary in its settings.
            self._point(replica, leader)
        else:
            self._lead_on(replica, leader)

    def _lead_on(self, node: NodeSpec, leader: NodeSpec) -> None:
        self._point(node, leader)
        if not self._streams(node, leader, WAIT_SECONDS):
            message = (
                f"{node.name} does not stream from {leader.name} after {WAIT_SECONDS} s: rejoin it"
            )
            raise ClusterError(message)
        self._release(node, leader)

    def _point(self, node: NodeSpec, leader: NodeSpec) -> None:
        """Name a replica its new primary, with a slot there."""
        with self._connect(leader) as connection:
            replication.make_slot(connection, node.slot)
        self._note(node, leader)
        # Nothing is started, but those that run are led to their primaries.
        self._starter.start([])

    def _note(self, node: NodeSpec, leader: NodeSpec) -> None:
        """Remember whom a node follows."""
        self._state.follows[node.name] = leader.name
        shard = leader.shard or ""
        if self._state.primary(shard) == node:
            self._state.primaries[shard] = leader.name
        self._save()

    def _release(self, node: NodeSpec, leader: NodeSpec) -> None:
        """Remove a replica's slot wherever it is not used any more, as far as servers answer."""
        for other in self._state.nodes_of(leader.shard or ""):
            if other not in (node, leader) and self._answers(other):
                with contextlib.suppress(ClusterError), self._connect(other) as connection:
                    wait_until(lambda: replication.drop_slot(connection, node.slot), WAIT_SECONDS)

    def _is_ahead(self, node: NodeSpec, leader: NodeSpec) -> bool:
        with self._connect(leader) as connection:
            fork = replication.fork(connection)
        with self._connect(node) as connection:
            return replication.is_beyond(connection, fork)

    def _is_paused(self, node: NodeSpec) -> bool:
        with self._connect(node) as connection:
            return replication.is_paused(connection)

    def _streams(self, node: NodeSpec, leader: NodeSpec, seconds: float) -> bool:
        """Wait until a replica streams from its primary; no time where it cannot."""
        if self._state.upstream(node) != leader or not self._runs(node):
            return False
        port = self._state.ports[leader.name]
        with self._connect(node) as connection:
            # One that was promoted by hand never will.
            return replication.is_replica(connection) and wait_until(
                lambda: replication.streams(connection, port), seconds
            )

    def _pair(self, name: str, primary: str) -> tuple[NodeSpec, NodeSpec]:
        """Return a node, and a primary that it could follow."""
        node, leader = self._postgres_node(name), self._postgres_node(primary)
        if node == leader or node.shard != leader.shard:
            message = f"{name} cannot follow {primary}: they are not two nodes of one shard"
            raise ClusterError(message)
        with self._connect(leader) as connection:
            if replication.is_replica(connection):
                message = f"{primary} is no primary: {name} cannot follow it"
                raise ClusterError(message)
        return node, leader

    def _postgres_node(self, name: str) -> NodeSpec:
        node = self._state.node(name)
        if node.kind != "postgresql":
            message = f"{name} is no PostgreSQL node"
            raise ClusterError(message)
        return node

    def _runs(self, node: NodeSpec) -> bool:
        return self._starter.postgres(node).pid() is not None

    def _answers(self, node: NodeSpec) -> bool:
        """Tell whether a server runs and does not stand still."""
        pid = self._starter.postgres(node).pid()
        return pid is not None and not is_stopped(pid)

    @contextlib.contextmanager
    def _connect(self, node: NodeSpec) -> Iterator[replication.Connection]:
        if not self._runs(node):
            message = f"{node.name} is not running"
            raise ClusterError(message)
        password = self._starter.credentials.of(SUPERUSER)
        try:
            with roles.connect(self._state.ports[node.name], password) as connection:
                yield connection
        except psycopg.OperationalError as error:
            message = f"{node.name} does not answer: {error}"
            raise ClusterError(message) from None

    def _save(self) -> None:
        self._state.save(self._starter.folder)
