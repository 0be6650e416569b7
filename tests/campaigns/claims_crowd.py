"""Clients of the claims' campaigns: they are started, killed, replaced and ended here."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.regions import Region
from tests.campaigns.claims_checker import deadlocks, unsettled, wait_quiet
from tests.campaigns.claims_client import Enrolling, Recovering, Registering, Report, serve
from tests.children import end_server

__all__ = ["Crowd", "databases_of"]

_LONGEST = 90.0  # seconds for what a client is told to do
_FORKSERVER = multiprocessing.get_context("forkserver")


def databases_of(cluster: EmbeddedCluster) -> dict[str, str]:
    """Return the URLs of a cluster's primaries, as the superuser."""
    return {
        node.shard: cluster.url(node.name, "postgres").replace("+psycopg", "")
        for node in cluster.status()
        if node.shard and node.role == "primary"
    }


@dataclass
class _Client:
    region: Region
    note: Path
    process: ForkServerProcess
    pipe: Connection


@dataclass
class Crowd:
    """Clients in several regions. At the end none is left.

    Args:
        settings: that lead to the databases.
        databases: the URLs of the primaries, for a look at what is left to do.
        regions: one for each client.
        folder: for their notes.
        broken: whether their protocol lacks the row that decides.
    """

    settings: Settings
    databases: dict[str, str]
    regions: Sequence[Region]
    folder: Path
    broken: bool = False
    died: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    _clients: list[_Client | None] = field(default_factory=list)
    _deadlocks: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        # What takes long to import is there when a client is forked from the server: a new one,
        # for another may measure coverage.
        end_server()
        _FORKSERVER.set_forkserver_preload(["tests.campaigns.claims_client"])
        self._clients = [None] * len(self.regions)
        self._deadlocks = deadlocks(self.databases)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients:
            if client is not None:
                with suppress(OSError):
                    client.pipe.send(None)
        for client in self._clients:
            if client is not None:
                self._end(client)
        end_server()

    def act(
        self,
        orders: Sequence[Enrolling | Registering],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[str]:
        """Let the clients act at once; return what went wrong, apart from who was to die.

        Args:
            orders: one for each client.
            meanwhile: is called when all of them act.
        """
        clients = [self._client(number) for number in range(len(self.regions))]
        for client, order in zip(clients, orders, strict=True):
            client.pipe.send(order)
        meanwhile()
        problems = []
        for number, order in enumerate(orders):
            problems += self._report(number, may_die=order.kill is not None)
        for number in range(len(self.regions)):
            # Those that take the places of the dead open their platforms while others recover.
            self._client(number)
        return problems

    def recover(self, *, most: float = 30.0) -> list[str]:
        """Recover until there is nothing left to do; return what went wrong."""
        wait_quiet(self.databases)
        problems: list[str] = []
        end = monotonic() + most
        while (left := unsettled(self.databases)) and not problems and monotonic() < end:
            self._client(0).pipe.send(Recovering())
            problems += self._report(0, may_die=False)
            wait_quiet(self.databases)
        before, self._deadlocks = self._deadlocks, deadlocks(self.databases)
        # A retry would end it, but somebody has waited for a second.
        problems += [
            f"a deadlock on {shard}"
            for shard, number in self._deadlocks.items()
            if number > before[shard]
        ]
        return problems + left

    def show(self) -> None:
        """Tell with `pytest -s` what the clients met."""
        died = dict(sorted(Counter(self.died).items()))
        print(f"\n{len(self.died)} died, at {died}\n{dict(self.met.most_common())}")  # noqa: T201

    def _report(self, number: int, *, may_die: bool) -> list[str]:
        client = self._client(number)
        name = f"client {number} in {client.region}"
        if not client.pipe.poll(_LONGEST):
            return [f"{name} does not come to an end"]
        try:
            report: Report = client.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._clients[number] = None
            client.process.join()
            client.pipe.close()
            if not may_die or client.process.exitcode != -signal.SIGKILL:
                return [f"{name} ended with {client.process.exitcode}"]
            self.died.append(client.note.read_text(encoding="utf-8"))
            return []
        self.met += report.met
        return [f"{name}: {problem}" for problem in report.problems]

    def _client(self, number: int) -> _Client:
        client = self._clients[number]
        if client is None:
            region = self.regions[number]
            note = self.folder / f"{number}-{len(self.died)}"
            ours, theirs = _FORKSERVER.Pipe()
            process = _FORKSERVER.Process(
                target=serve,
                args=(self.settings, region, note, theirs),
                kwargs={"broken": self.broken},
            )
            process.start()
            theirs.close()
            client = self._clients[number] = _Client(region, note, process, ours)
        return client

    def _end(self, client: _Client) -> None:
        client.process.join(10)
        if client.process.exitcode is None:
            client.process.kill()
            client.process.join()
        client.pipe.close()
