"""Start those servers of a cluster that do not run, making their data where there is none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.binaries import Binaries, find_mongodb, find_postgresql
from elearning.cluster.embedded.credentials import REPLICATOR, SUPERUSER, Credentials
from elearning.cluster.embedded.mongo import MongoServer
from elearning.cluster.embedded.ports import LOOPBACK, free_port, is_free
from elearning.cluster.embedded.postgres import PostgresServer, make_template
from elearning.cluster.embedded.relocate import reachable
from elearning.cluster.embedded.server import NotRunning, PortTaken, Server
from elearning.cluster.embedded.settings import Following, ServerSettings, database_for
from elearning.cluster.embedded.state import State
from elearning.cluster.embedded.topology import NodeSpec
from elearning.errors import ServerStartError

__all__ = ["Starter"]

TRIES = 3


@dataclass(slots=True)
class Starter:
    """One `up`: what it works on, and what it has started so far."""

    folder: Path
    state: State
    credentials: Credentials
    account: Account
    durable: bool
    postgres_bin: Path | None
    report: Callable[[str], None]
    started: list[str] = field(default_factory=list)

    def start(self, wanted: Collection[str]) -> None:
        """Start these nodes, as far as they do not run, and wait until all are ready.

        Raises:
            BinaryNotFound: there is no server to start.
            ServerStartError: one did not become ready; the others are left running.
        """
        for _ in range(TRIES - 1):
            # Another process was quicker, or a server died while it was looked at.
            with contextlib.suppress(PortTaken, NotRunning):
                self._start(wanted)
                return
        self._start(wanted)

    def server(self, node: NodeSpec) -> Server:
        """Return the server of a node."""
        return self._mongodb() if node.kind == "mongodb" else self.postgres(node)

    def postgres(self, node: NodeSpec) -> PostgresServer:
        """Return the server of a PostgreSQL node."""
        return PostgresServer(node, self.state.folder_of(node), self.account)

    def _start(self, wanted: Collection[str]) -> None:
        missing = [
            node
            for node in self.state.topology.nodes()
            if node.name in wanted and self.server(node).pid() is None
        ]
        self._choose_ports(missing)
        self.account.make_folders(*map(self.state.folder_of, missing))
        is_new = not all(self._has_data(node) for node in missing)
        binaries = self._find_postgresql() if _any_postgresql(missing) else None
        with ThreadPoolExecutor(len(self.state.topology.shards) + 1) as pool:
            found = mongodb = None
            if self.state.topology.mongodb.name in wanted:
                found = pool.submit(self._find_mongodb)
                mongodb = pool.submit(self._start_mongodb, found)
            template = self._make_template(binaries, missing)
            if found:
                # Without a binary for MongoDB, PostgreSQL is not started either.
                found.result()
            self._start_shards(pool, wanted, binaries, template)
            if mongodb:
                mongodb.result()
        if is_new and self.durable:
            # Copied without forcing each file to disk: once for all of them is much quicker.
            os.sync()
        self.state.save(self.folder)

    def _choose_ports(self, missing: Collection[NodeSpec]) -> None:
        """Keep each port that is still free, and choose new ones for the rest."""
        ports = self.state.ports
        for node in missing:
            old = ports.get(node.name)
            if old is None or not is_free(old):
                ports[node.name] = free_port(ports.values())
                if old is not None:
                    self.report(f"{node.name}: port {old} is taken, now {ports[node.name]}")
        self.state.save(self.folder)

    def _find_postgresql(self) -> Binaries:
        found = find_postgresql(self.postgres_bin)
        self.state.versions["postgresql"] = found.version
        return reachable(found, "postgres", self.account, self.report)

    def _find_mongodb(self) -> Binaries | None:
        if self._mongodb().pid() is not None:
            return None
        found = find_mongodb()
        self.state.versions["mongodb"] = found.version
        return reachable(found, "mongod", self.account, self.report)

    def _start_mongodb(self, found: Future[Binaries | None]) -> None:
        server = self._mongodb()
        port = self.state.ports[server.node.name]
        if binaries := found.result():
            server.launch(binaries, port)
            self._note_start(server)
        server.set_up(port, durable=self.durable)

    def _make_template(
        self, binaries: Binaries | None, missing: Collection[NodeSpec]
    ) -> Path | None:
        """Run initdb, if a primary has no data yet."""
        is_new = (
            node.kind == "postgresql" and not self.state.upstream(node) and not self._has_data(node)
            for node in missing
        )
        if binaries is None or not any(is_new):
            return None
        password = self.credentials.of(SUPERUSER)
        return make_template(binaries, self.state.data, self.account, password)

    def _start_shards(
        self,
        pool: ThreadPoolExecutor,
        wanted: Collection[str],
        binaries: Binaries | None,
        template: Path | None,
    ) -> None:
        shards = [
            pool.submit(self._start_shard, shard, wanted, binaries, template)
            for shard in self.state.topology.shards
        ]
        problems = [problem for future in shards if (problem := future.exception())]
        if template:
            self.account.remove(template)
        for problem in problems:
            raise problem

    def _start_shard(
        self, shard: str, wanted: Collection[str], binaries: Binaries | None, template: Path | None
    ) -> None:
        nodes = self.state.nodes_of(shard)
        # After a promotion there may be two: the former one was not told.
        for primary in [self.postgres(node) for node in nodes if not self.state.upstream(node)]:
            try:
                if primary.node.name in wanted:
                    self._start_primary(primary, binaries, template)
                for replica in map(self.postgres, self.state.followers(primary.node)):
                    self._lead_to(replica, primary)
                    if replica.node.name in wanted:
                        self._start_replica(replica, primary, binaries)
            except psycopg.Error as error:
                what = f"cannot be set up ({type(error).__name__}: {error})"
                primary.fail(what, primary.pid())

    def _start_primary(
        self, primary: PostgresServer, binaries: Binaries | None, template: Path | None
    ) -> None:
        if primary.pid() is None and binaries:
            if template and not self._has_data(primary.node):
                primary.clone(template)
            self._configure(primary, binaries.major)
            primary.launch(binaries)
            self._note_start(primary)
        primary.wait_ready()
        if not primary.is_complete():
            primary.set_up(self.state.ports[primary.node.name], self.credentials)
            primary.set_complete()

    def _start_replica(
        self, replica: PostgresServer, primary: PostgresServer, binaries: Binaries | None
    ) -> None:
        password = self.credentials.of(SUPERUSER)
        if replica.pid() is None and binaries:
            following = self._following(replica, primary)
            secret = self.credentials.of(REPLICATOR)
            # Any port: it is the same server under another one.
            self.account.write(replica.passfile, f"{LOOPBACK}:*:*:{REPLICATOR}:{secret}\n")
            if not self._has_data(replica.node):
                if primary.pid() is None:
                    message = f"{replica.node.name} is made from {primary.node.name}: start it too"
                    raise ServerStartError(message)
                primary.drop_slot(following.port, password, replica.node.slot)
                replica.back_up(binaries, following)
            self._configure(replica, binaries.major, following)
            replica.launch(binaries)
            self._note_start(replica)
        replica.wait_ready()
        if primary.pid() is not None:
            replica.wait_streaming(self.state.ports[replica.node.name], password)

    def _lead_to(self, replica: PostgresServer, primary: PostgresServer) -> None:
        """Tell a running replica where its primary is now, if that has changed."""
        if replica.pid() is not None:
            following = self._following(replica, primary)
            if self._configure(replica, replica.major(), following):
                replica.reload()

    def _following(self, replica: PostgresServer, primary: PostgresServer) -> Following:
        return Following(
            port=self.state.ports[primary.node.name],
            passfile=replica.passfile,
            database=database_for(replica.node),
        )

    def _configure(
        self, server: PostgresServer, major: int, following: Following | None = None
    ) -> bool:
        settings = ServerSettings(
            node=server.node,
            topology=self.state.topology,
            port=self.state.ports[server.node.name],
            major=major,
            durable=self.durable,
            following=following,
        )
        return server.configure(settings.text())

    def _note_start(self, server: Server) -> None:
        self.started.append(server.node.name)
        self.report(f"{server.node.name} started on port {self.state.ports[server.node.name]}")

    def _has_data(self, node: NodeSpec) -> bool:
        return self.server(node).data.exists()

    def _mongodb(self) -> MongoServer:
        node = self.state.topology.mongodb
        folder = self.state.folder_of(node)
        return MongoServer(node, folder, self.account, self.credentials)


def _any_postgresql(nodes: Collection[NodeSpec]) -> bool:
    return any(node.kind == "postgresql" for node in nodes)
