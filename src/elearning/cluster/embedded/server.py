"""What the servers of both kinds have in common: a folder, a process, a log."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import NoReturn

from elearning.cluster.embedded import loader, processes
from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.topology import NodeSpec
from elearning.errors import ServerStartError

__all__ = ["NotRunning", "PortTaken", "Server"]

START_SECONDS = 60
STOP_SECONDS = 30
LOG_LINES = 15
TAKEN = "Address already in use"


class PortTaken(ServerStartError):
    """Another process took the port just before the server could."""


class NotRunning(ServerStartError):
    """A server is not there, though it was a moment ago or should be."""


class Server:
    """One server of the cluster, on disk and perhaps running."""

    program: str
    pid_file: str
    stop_signal: signal.Signals

    def __init__(self, node: NodeSpec, folder: Path, account: Account) -> None:
        self.node = node
        self.account = account
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.complete = folder / "complete"
        self._log_start: int | None = None

    def pid(self) -> int | None:
        """Return the pid of the running server; a stale pid file does not count."""
        try:
            pid = int((self.data / self.pid_file).read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if processes.is_server(pid, self.program, self.data) else None

    def is_complete(self) -> bool:
        """Tell whether the server was once set up to the end."""
        return self.complete.exists()

    def set_complete(self) -> None:
        """Remember that the server is set up."""
        self.account.write(self.complete, "")

    def stop(self) -> bool:
        """Shut the server down, in the worst case by force; tell whether it ran."""
        pid = self.pid()
        if pid is None:
            return False
        everyone = processes.tree(pid)
        # A paused server would never hear the signal.
        processes.resume(pid)
        processes.send([pid], self.stop_signal)
        if not processes.wait_gone(everyone, STOP_SECONDS):
            processes.kill(pid)
        return True

    def kill(self) -> bool:
        """Kill the server with all its processes; tell whether it ran."""
        pid = self.pid()
        if pid is None:
            return False
        if not processes.kill(pid):
            self.fail("did not die", pid)
        return True

    def spawn(self, *command: str | Path) -> int:
        """Start the process, and remember where in the log its own lines begin."""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        return self.account.launch(self.log, *command)

    def log_of_this_start(self) -> str:
        """Return what the server has logged since it was started here."""
        if self._log_start is None:
            return ""
        try:
            with self.log.open("rb") as file:
                file.seek(self._log_start)
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def pause(self) -> None:
        """Stop all the server's processes in their tracks."""
        pid = self.running_pid()
        if not processes.pause(pid):
            self.fail("did not stand still", pid)

    def resume(self) -> None:
        """Let a paused server run again, and wait until all of it does."""
        pid = self.running_pid()
        if not processes.resume(pid):
            self.fail("did not go on", pid)

    def running_pid(self) -> int:
        """Return the pid, where the server has to run.

        Raises:
            NotRunning: it does not.
        """
        pid = self.pid()
        if pid is None:
            message = f"{self.node.name} is not running"
            raise NotRunning(message)
        return pid

    def fail(self, what: str, pid: int | None) -> NoReturn:
        """Say that the server did not do what it should, with its last words.

        Raises:
            ServerStartError: always; a PortTaken where that is the reason.
        """
        text = f"{self.node.name} (process {pid}) {what}"
        logged = self.log_of_this_start()
        if TAKEN in logged and not self.pid():
            message = f"{text}: its port was taken by another process"
            raise PortTaken(message)
        if missing := loader.explain(logged):
            message = f"{text}: {missing}"
            raise ServerStartError(message)
        raise ServerStartError("\n  ".join([f"{text}; {self.log} ends:", *self.last_words()]))

    def last_words(self) -> list[str]:
        """Return the last lines of the log."""
        return self.account.tail(self.log, LOG_LINES).splitlines()
