"""The embedded cluster: real database servers in a folder of the caller's choice."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from elearning.cluster.embedded import environment
from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.credentials import SECRETS_FILE, Credentials
from elearning.cluster.embedded.failover import Failover
from elearning.cluster.embedded.files import LOCK_FILE, folder_lock, own_folder, write_private
from elearning.cluster.embedded.node import EmbeddedNode
from elearning.cluster.embedded.places import data_folder
from elearning.cluster.embedded.report import NodeStatus, UpReport
from elearning.cluster.embedded.starter import Starter
from elearning.cluster.embedded.state import STATE_FILE, State
from elearning.cluster.embedded.topology import Topology, database_of
from elearning.errors import ClusterError

__all__ = ["EmbeddedCluster"]


class EmbeddedCluster:
    """Every shard's PostgreSQL servers and MongoDB, on loopback, with data that lasts.

    Args:
        folder: holds settings, passwords, and the data if the servers' user can reach it there.
        topology: default: the one that the folder was started with, or Topology().
        durable: whether data survives a crash of the machine; without it, tests are quicker.
        postgres_bin: folder of PostgreSQL's binaries, in place of a search for them.
        report: is told of each step.
    """

    def __init__(
        self,
        folder: Path,
        *,
        topology: Topology | None = None,
        durable: bool = True,
        postgres_bin: Path | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = Path(folder).expanduser().resolve()
        self.env_file = self.folder / environment.FILE
        self._topology = topology
        self._durable = durable
        self._postgres_bin = postgres_bin
        self._told = report
        self._telling = threading.Lock()
        #: What the latest `up` of this object did.
        self.last_up: UpReport | None = None

    def up(self) -> UpReport:
        """Start what does not run yet; all of it the first time.

        Servers that were started before an error stay up: call `up` again, or `down`.

        Raises:
            BinaryNotFound: there is no server to start.
            ServerStartError: one did not become ready.
            ClusterError: the folder is not ours, or holds another topology.
        """
        began = time.monotonic()
        own_folder(self.folder, 0o711)
        with folder_lock(self.folder):
            starter = self._prepare()
            state = starter.state
            running = [status.name for status in self._status_of(starter) if status.running]
            starter.start([node.name for node in state.topology.nodes()])
            self._write_environment(starter)
        if not starter.started:
            self._report("the cluster already runs")
        self.last_up = UpReport(
            started=tuple(starter.started),
            already_running=tuple(running),
            seconds=time.monotonic() - began,
            data=state.data,
            user=state.account,
            postgres_version=state.versions.get("postgresql", ""),
            mongod_version=state.versions.get("mongodb", ""),
        )
        return self.last_up

    def down(self) -> list[str]:
        """Stop every server and remove cluster.env; the data stays. Return who was stopped."""
        if State.load(self.folder) is None:
            return []
        with folder_lock(self.folder):
            starter = self._known()
            nodes = starter.state.topology.nodes()
            with ThreadPoolExecutor(len(nodes)) as pool:
                stopped = list(pool.map(lambda node: starter.server(node).stop(), nodes))
            self.env_file.unlink(missing_ok=True)
        return [node.name for node, was_up in zip(nodes, stopped, strict=True) if was_up]

    def remove(self) -> None:
        """Stop every server and delete its data for good, wherever that is kept."""
        self.down()
        state = State.load(self.folder)
        if state is None:
            return
        with folder_lock(self.folder):
            if state.data.exists():
                shutil.rmtree(state.data)
            if state.data.parent != self.folder and state.data.parent.exists():
                state.data.parent.rmdir()
            for name in (SECRETS_FILE, STATE_FILE, LOCK_FILE):
                (self.folder / name).unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def status(self) -> list[NodeStatus]:
        """Return every server and whether it runs; nothing before the first `up`."""
        starter = self._load()
        return self._status_of(starter) if starter else []

    def environment(self) -> dict[str, str]:
        """Return the settings that lead an application to this cluster, passwords included.

        A shard's primary is the one that was promoted last, and its replicas those that follow it.
        """
        starter = self._known()
        return environment.environment(starter.state, starter.credentials)

    def url(self, name: str, role: str) -> str:
        """Return the URL of a PostgreSQL node for a role, such as `postgres`, the superuser."""
        starter = self._known()
        node = starter.state.node(name)
        if node.shard is None:
            message = f"{name} is no PostgreSQL node"
            raise ClusterError(message)
        password = starter.credentials.of(role)
        port = starter.state.ports[name]
        return environment.postgres_url(role, password, port, database_of(node.shard))

    def node(self, name: str) -> EmbeddedNode:
        """Return a handle on one server, by a name such as `na-primary` or `mongodb`."""
        starter = self._known()
        server = starter.server(starter.state.node(name))
        return EmbeddedNode(server, lambda: self._start([name]))

    def promote(self, name: str, *, split_brain: bool = False) -> None:
        """Make a replica the primary of its shard; see `Failover.promote`."""
        self._fail_over(lambda failover: failover.promote(name, split_brain=split_brain))

    def follow(self, name: str, primary: str) -> None:
        """Let a running replica follow another primary; see `Failover.follow`."""
        self._fail_over(lambda failover: failover.follow(name, primary))

    def rejoin(self, name: str, primary: str | None = None) -> None:
        """Make any node of a shard a new replica; see `Failover.rejoin`."""
        self._fail_over(lambda failover: failover.rejoin(name, primary))

    def restore(self, shard: str) -> None:
        """Give each node of a shard its first role again; see `Failover.restore`."""
        self._fail_over(lambda failover: failover.restore(shard))

    def _report(self, line: str) -> None:
        """Pass a line on; the servers are started by several threads."""
        if self._told:
            with self._telling:
                self._told(line)

    def _start(self, names: Collection[str]) -> None:
        with folder_lock(self.folder):
            starter = self._known()
            starter.start(names)
            if self.env_file.exists():
                self._write_environment(starter)

    def _fail_over(self, change: Callable[[Failover], None]) -> None:
        # Before the lock: it needs the folder.
        self._known()
        with folder_lock(self.folder):
            starter = self._known()
            try:
                change(Failover(starter))
            finally:
                if self.env_file.exists():
                    self._write_environment(starter)

    def _prepare(self) -> Starter:
        """Read what the folder remembers, or begin a new cluster in it."""
        state = State.load(self.folder)
        if state is None:
            account = Account.for_servers()
            topology = Topology() if self._topology is None else self._topology
            state = State(topology, account.name, data_folder(self.folder, account))
        else:
            account = Account.for_servers(state.account)
            wanted = self._topology
            if wanted is not None and wanted != state.topology:
                message = (
                    f"{self.folder} holds a cluster of {_words(state.topology)}, not of "
                    f"{_words(wanted)}: choose another folder"
                )
                raise ClusterError(message)
            if not state.data.exists():
                state.data = data_folder(self.folder, account)
        if account.is_other:
            self._report(f"the servers run as user {account.name}, not as root")
        if state.data.parent != self.folder:
            self._report(f"user {account.name} cannot reach {self.folder}: data in {state.data}")
        is_new = not any(state.folder_of(node).exists() for node in state.topology.nodes())
        credentials = Credentials.keep(self.folder, None if is_new else state.data)
        state.save(self.folder)
        return self._starter(state, credentials, account)

    def _load(self) -> Starter | None:
        state = State.load(self.folder)
        if state is None:
            return None
        account = Account.for_servers(state.account)
        return self._starter(state, Credentials.load(self.folder), account)

    def _known(self) -> Starter:
        starter = self._load()
        if starter is None:
            message = f"no cluster was started in {self.folder}"
            raise ClusterError(message)
        return starter

    def _starter(self, state: State, credentials: Credentials, account: Account) -> Starter:
        return Starter(
            folder=self.folder,
            state=state,
            credentials=credentials,
            account=account,
            durable=self._durable,
            postgres_bin=self._postgres_bin,
            report=self._report,
        )

    def _status_of(self, starter: Starter) -> list[NodeStatus]:
        return [
            NodeStatus(
                name=node.name,
                kind=node.kind,
                shard=node.shard,
                role="replica" if starter.state.upstream(node) else "primary",
                port=starter.state.ports.get(node.name, 0),
                pid=starter.server(node).pid(),
                follows=upstream.name if (upstream := starter.state.upstream(node)) else None,
            )
            for node in starter.state.topology.nodes()
        ]

    def _write_environment(self, starter: Starter) -> None:
        values = environment.environment(starter.state, starter.credentials)
        write_private(self.env_file, environment.as_dotenv(values))


def _words(topology: Topology) -> str:
    return f"the shards {', '.join(topology.shards)} with {topology.replicas} replicas each"
