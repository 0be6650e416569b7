"""A PostgreSQL server: made from a template or from its primary, started, followed."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import psycopg

from elearning.cluster.embedded import processes, roles
from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.binaries import Binaries
from elearning.cluster.embedded.credentials import SUPERUSER, Credentials
from elearning.cluster.embedded.server import START_SECONDS, Server
from elearning.cluster.embedded.settings import (
    Following,
    access_rules,
    conninfo,
    database_for,
)
from elearning.errors import ClusterError

__all__ = ["PostgresServer", "make_template"]

FIRST_WITH_BUILTIN_LOCALE = 17
STATUS_LINE = 7
MEMORY_IN_USE = "pre-existing shared memory block"
ORPHAN_SECONDS = 10
# A replica that was lost is made anew from a primary that holds much by now.
COPY_SECONDS = 3600


class PostgresServer(Server):
    """One primary or replica."""

    program = "postgres"
    pid_file = "postmaster.pid"
    stop_signal = signal.SIGINT  # a "fast" shutdown: sessions are ended, data is flushed

    @property
    def passfile(self) -> Path:
        """The file that a replica finds its primary's password in."""
        return self.folder / "replication.pgpass"

    def major(self) -> int:
        """Return the major version that the data was made by."""
        return int((self.data / "PG_VERSION").read_text())

    def clone(self, template: Path) -> None:
        """Make a primary's data folder from the template."""
        self.account.copy(template, self.data)

    def back_up(self, binaries: Binaries, following: Following) -> None:
        """Make a replica's data folder from its running primary, with a slot of its own."""
        draft = self.folder / "data.draft"
        self.account.remove(draft)
        self.account.command(
            binaries.program("pg_basebackup"),
            *("--pgdata", draft),
            *("--dbname", conninfo(following, self.node.name)),
            *("--create-slot", "--slot", self.node.slot),
            *("--wal-method", "stream", "--checkpoint", "fast", "--no-sync"),
            seconds=COPY_SECONDS,
        )
        # Not by --write-recovery-conf: the port in its file would outlive a change of ports.
        self.account.write(draft / "standby.signal", "")
        self.account.command("mv", draft, self.data)

    def configure(self, settings: str) -> bool:
        """Write the configuration, which a running server sees after `reload`; tell of a change."""
        has_settings = self.account.write(self.data / "postgresql.conf", settings)
        return self.account.write(self.data / "pg_hba.conf", access_rules()) or has_settings

    def reload(self) -> None:
        """Make a running server read its configuration again."""
        processes.send([self.running_pid()], signal.SIGHUP)

    def launch(self, binaries: Binaries) -> None:
        """Start the server on its data folder, and wait until it takes connections.

        Raises:
            ServerStartError: it does not.
            ClusterError: the data was made by another major version.
        """
        if self.major() != binaries.major:
            message = (
                f"the data of {self.node.name} was made by PostgreSQL {self.major()}, and "
                f"{binaries.folder} is PostgreSQL {binaries.version}"
            )
            raise ClusterError(message)
        # Its pid may belong to a process of this user by now, and PostgreSQL would refuse to
        # start; it has another lock to find out whether a server still uses the data.
        self.account.remove(self.data / self.pid_file)
        pid = self._spawn_until_free(binaries)
        self.wait_ready(pid)

    def wait_ready(self, pid: int | None = None) -> None:
        """Wait until the server takes connections.

        Raises:
            ServerStartError: it ends, or takes too long.
        """
        pid = pid or self.running_pid()
        processes.wait_until(lambda: self._is_ready(pid) or _is_gone(pid), START_SECONDS)
        if _is_gone(pid):
            self.fail("ended while it started", pid)
        if not self._is_ready(pid):
            self.fail(f"was not ready after {START_SECONDS} s", pid)

    def wait_streaming(self, port: int, password: str) -> None:
        """Wait until this replica receives from its primary, or has been promoted.

        Raises:
            ServerStartError: it does not.
        """
        receives = (
            "SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming' "
            "UNION ALL SELECT WHERE NOT pg_is_in_recovery()"
        )

        def is_streaming() -> bool:
            with (
                contextlib.suppress(psycopg.OperationalError),
                roles.connect(port, password) as connection,
            ):
                return connection.execute(receives).fetchone() is not None
            return False

        if not processes.wait_until(is_streaming, START_SECONDS):
            self.fail("does not stream from its primary", self.pid())

    def drop_slot(self, port: int, password: str, slot: str) -> None:
        """Remove what an earlier try to make a replica left on this primary."""
        with roles.connect(port, password) as connection:
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE slot_name = %s AND NOT active",
                [slot],
            )

    def set_up(self, port: int, credentials: Credentials) -> None:
        """Give a new primary its database and roles."""
        database = database_for(self.node)
        roles.set_up(port, credentials.of(SUPERUSER), database, credentials.roles())

    def _spawn_until_free(self, binaries: Binaries) -> int:
        """Start the server, again if children of a killed one still hold its memory."""
        pids: list[int] = []

        def has_memory() -> bool:
            pid = self.spawn(binaries.program("postgres"), "-D", self.data)
            pids.append(pid)
            processes.wait_until(lambda: self._is_ready(pid) or _is_gone(pid), START_SECONDS)
            return not (_is_gone(pid) and MEMORY_IN_USE in self.log_of_this_start())

        processes.wait_until(has_memory, ORPHAN_SECONDS)
        return pids[-1]

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.data / self.pid_file).read_text().splitlines()
        except OSError:
            return False
        return (
            len(lines) > STATUS_LINE
            and lines[0] == str(pid)
            and lines[STATUS_LINE].strip() == "ready"
        )


def make_template(binaries: Binaries, folder: Path, account: Account, password: str) -> Path:
    """Run initdb once; every primary is a copy of what it makes."""
    template = folder / "template"
    passfile = folder / "template.password"
    account.remove(template)
    account.write(passfile, f"{password}\n")
    locale = (
        ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        if binaries.major >= FIRST_WITH_BUILTIN_LOCALE
        else ("--locale-provider=libc", _libc_locale(account))
    )
    try:
        account.command(
            binaries.program("initdb"),
            *("--pgdata", template, "--username", SUPERUSER, "--pwfile", passfile),
            *("--auth=scram-sha-256", "--encoding=UTF8", *locale),
            *("--no-sync", "--no-instructions"),
        )
    finally:
        account.remove(passfile)
    return template


def _libc_locale(account: Account) -> str:
    """Return C.UTF-8 where the system has it; macOS does not."""
    known = account.run("locale", "-a").stdout.lower().split()
    return "--locale=C.UTF-8" if {"c.utf8", "c.utf-8"} & set(known) else "--locale=C"


def _is_gone(pid: int) -> bool:
    return processes.find_process(pid) is None
