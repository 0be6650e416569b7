"""The MongoDB server: a replica set of one node, with users."""

from __future__ import annotations

import contextlib
import re
import signal
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from elearning.cluster.embedded import processes
from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.binaries import Binaries
from elearning.cluster.embedded.credentials import APP, Credentials
from elearning.cluster.embedded.ports import LOOPBACK
from elearning.cluster.embedded.server import START_SECONDS, Server
from elearning.cluster.embedded.topology import NodeSpec

__all__ = ["DATABASE", "REPLICA_SET", "MongoServer"]

REPLICA_SET = "elearning"
DATABASE = "elearning_content"
ROOT = "root"
MECHANISMS = ["SCRAM-SHA-256"]
ALREADY_INITIALIZED = 23
USER_EXISTS = 51003
UNAUTHORIZED = 13
NOT_YET_INITIALIZED = 94
# Not a mere connection: behind the port there could be another process.
LISTENS = "Waiting for connections"
# An error, or a fatal one.
SEVERE = re.compile(r'"s":"[EF]"')

Client = MongoClient[dict[str, Any]]


class MongoServer(Server):
    """mongod with its one-node replica set."""

    program = "mongod"
    pid_file = "mongod.lock"
    stop_signal = signal.SIGTERM

    def __init__(
        self, node: NodeSpec, folder: Path, account: Account, credentials: Credentials
    ) -> None:
        super().__init__(node, folder, account)
        self.credentials = credentials
        self.key = folder / "replica-set.key"

    def launch(self, binaries: Binaries, port: int) -> None:
        """Start the server, and wait until it takes connections.

        Raises:
            ServerStartError: it does not.
        """
        self.account.make_folders(self.data)
        self.account.write(self.key, self.credentials.mongodb_key)
        pid = self.spawn(
            binaries.program("mongod"),
            *("--dbpath", self.data, "--port", str(port), "--bind_ip", LOOPBACK),
            *(
                "--replSet",
                REPLICA_SET,
                "--keyFile",
                self.key,
                "--auth",
                "--nounixsocket",
                "--quiet",
            ),
            *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "128"),
            # By default 300 MB of empty journal are written first.
            *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        )
        processes.wait_until(
            lambda: LISTENS in self.log_of_this_start() or processes.find_process(pid) is None,
            START_SECONDS,
        )
        if processes.find_process(pid) is None:
            self.fail("ended while it started", pid)
        if LISTENS not in self.log_of_this_start():
            self.fail(f"was not ready after {START_SECONDS} s", pid)

    def set_up(self, port: int, *, durable: bool) -> None:
        """Make the replica set and the users, or give the set its new port.

        Raises:
            ServerStartError: it does not become the primary.
        """
        try:
            if not self.is_complete():
                self._initiate(port, durable=durable)
                self._create_users(port)
                self.set_complete()
            self._follow_port(port)
        except PyMongoError as error:
            self.fail(f"cannot be set up ({error})", self.pid())

    def last_words(self) -> list[str]:
        """Return the errors of this start: after them, the log goes on about the shutdown."""
        lines = self.log_of_this_start().splitlines()
        return [line for line in lines if SEVERE.search(line)] or super().last_words()

    def _initiate(self, port: int, *, durable: bool) -> None:
        """Initiate the set and make the first user, as a client on this host may while none is."""
        config = {
            "_id": REPLICA_SET,
            "members": [{"_id": 0, "host": f"{LOOPBACK}:{port}"}],
            "writeConcernMajorityJournalDefault": durable,
        }
        with _client(port) as client:
            try:
                client.admin.command("replSetInitiate", config)
            except OperationFailure as error:
                # An earlier try came further.
                if error.code not in (ALREADY_INITIALIZED, UNAUTHORIZED):
                    raise
            self._wait_primary(client)
            try:
                client.admin.command(
                    "createUser",
                    ROOT,
                    pwd=self.credentials.mongodb_root,
                    roles=[ROOT],
                    mechanisms=MECHANISMS,
                )
            except OperationFailure as error:
                if error.code not in (USER_EXISTS, UNAUTHORIZED):
                    raise

    def _create_users(self, port: int) -> None:
        with self._as_root(port) as client:
            try:
                client[DATABASE].command(
                    "createUser",
                    APP,
                    pwd=self.credentials.mongodb_app,
                    roles=[{"role": "readWrite", "db": DATABASE}],
                    mechanisms=MECHANISMS,
                )
            except OperationFailure as error:
                if error.code != USER_EXISTS:
                    raise

    def _follow_port(self, port: int) -> None:
        """Write the port into the set's configuration, without which it has no primary."""
        host = f"{LOOPBACK}:{port}"
        with self._as_root(port) as client:
            config = self._configuration(client)
            member = config["members"][0]
            if member["host"] != host:
                member["host"] = host
                config["version"] += 1
                client.admin.command("replSetReconfig", config, force=True)
            self._wait_primary(client)

    def _configuration(self, client: Client) -> dict[str, Any]:
        """Return the set's configuration, which the server loads after it takes connections.

        Under a new port it asks at the old one whether that is itself; should another process
        accept there and stay silent, that takes 30 s.
        """
        found: list[dict[str, Any]] = []

        def is_loaded() -> bool:
            try:
                # A change of the server's state closes connections.
                with contextlib.suppress(AutoReconnect):
                    found.append(client.admin.command("replSetGetConfig")["config"])
            except OperationFailure as error:
                if error.code != NOT_YET_INITIALIZED:
                    raise
            return bool(found)

        if not processes.wait_until(is_loaded, START_SECONDS):
            self.fail("did not load its configuration", self.pid())
        return found[0]

    def _wait_primary(self, client: Client) -> None:
        def is_primary() -> bool:
            with contextlib.suppress(AutoReconnect):
                return bool(client.admin.command("hello")["isWritablePrimary"])
            return False

        if not processes.wait_until(is_primary, START_SECONDS):
            self.fail("did not become the primary of its set", self.pid())

    def _as_root(self, port: int) -> Client:
        return _client(port, username=ROOT, password=self.credentials.mongodb_root)


def _client(port: int, **options: Any) -> Client:
    return MongoClient(
        LOOPBACK,
        port,
        directConnection=True,
        serverSelectionTimeoutMS=START_SECONDS * 1000,
        **options,
    )
