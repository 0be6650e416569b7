"""What the tests of the embedded cluster share."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

import psycopg
from pymongo import MongoClient

from elearning.cluster.embedded import EmbeddedCluster, processes

SOURCE = Path(__file__).parents[2] / "src"
WAIT_SECONDS = 20
ALL = {
    "na-primary",
    "na-replica-1",
    "eu-primary",
    "eu-replica-1",
    "asia-primary",
    "asia-replica-1",
    "mongodb",
}


def connect(
    cluster: EmbeddedCluster, node: str, role: str, **options: Any
) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to a node as a role, in autocommit mode."""
    url = cluster.url(node, role).replace("postgresql+psycopg://", "postgresql://")
    return psycopg.connect(url, autocommit=True, connect_timeout=5, **options)


def query(cluster: EmbeddedCluster, node: str, role: str, statement: str) -> list[tuple[Any, ...]]:
    with connect(cluster, node, role) as connection:
        return connection.execute(statement.encode()).fetchall()


def execute(cluster: EmbeddedCluster, node: str, role: str, *statements: str) -> None:
    with connect(cluster, node, role) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def until_equal(cluster: EmbeddedCluster, node: str, statement: str, expected: Any) -> None:
    """Wait until a query answers with one such value."""
    found: Any = None

    def is_equal() -> bool:
        nonlocal found
        # The table may not have come yet.
        with suppress(psycopg.errors.UndefinedTable):
            found = query(cluster, node, "postgres", statement)
        return bool(found == [(expected,)])

    assert processes.wait_until(is_equal, WAIT_SECONDS), found


@contextmanager
def content(cluster: EmbeddedCluster) -> Iterator[Any]:
    """Open the application's database in MongoDB."""
    client: MongoClient[dict[str, Any]]
    url = cluster.environment()["ELEARNING_MONGODB_URL"]
    with MongoClient(url, serverSelectionTimeoutMS=10_000) as client:
        yield client.get_default_database()


def passwords(cluster: EmbeddedCluster) -> list[str]:
    """Return every secret of a cluster."""
    values = json.loads((cluster.folder / "secrets.json").read_text())
    assert len(values) == 9
    return [str(value) for value in values.values()]


def pids(cluster: EmbeddedCluster) -> dict[str, int]:
    return {node.name: node.pid for node in cluster.status() if node.pid is not None}


def all_gone(numbers: list[int], folder: Path) -> bool:
    """Tell whether these processes, all that mention the folder, and the folder are gone."""
    if folder.exists() or any(processes.find_process(number) for number in numbers):
        return False
    living = (process for process in processes.process_table() if process.state != "Z")
    return not any(str(folder) in processes.command_line(process.pid) for process in living)


class CommandLines:
    """Notes the command line of every process, as long as it watches."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        # More often than the shortest of them lasts, on a busy machine too: only young ones are
        # looked at again, for a process begins as a copy of another one.
        born: dict[int, float] = {}
        while not self._stop.wait(0.002):
            now = monotonic()
            for pid in _pids():
                if now - born.setdefault(pid, now) < _YOUNG:
                    self.seen.add(processes.command_line(pid))


_YOUNG = 1.0  # seconds


def _pids() -> list[int]:
    if processes.HAS_PROC:
        return [int(entry.name) for entry in processes.PROC.iterdir() if entry.name.isdigit()]
    return [process.pid for process in processes.process_table()]


CHILD = """
import sys
from elearning.cluster.embedded import Topology, ephemeral_cluster

def report(line):
    print("report", line, flush=True)

topology = Topology(shards={"eu": ("europe",)}, replicas=0)
with ephemeral_cluster(topology=topology, report=report) as cluster:
    print("folder", cluster.folder, flush=True)
    if "pause" in sys.argv:
        cluster.node("eu-primary").pause()
    print("pids", *[node.pid for node in cluster.status()], flush=True)
    sys.stdin.readline()
"""


@contextmanager
def child_with_cluster(
    *arguments: str, python: Sequence[str] = (sys.executable,), **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a Python process that holds an ephemeral cluster until it reads a line."""
    process = subprocess.Popen(
        [*python, "-c", CHILD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"env": {"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin"}, **options},
    )
    with process:
        try:
            yield process
        finally:
            # Whatever failed: the guard cleans up after it.
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """Return the rest of the first line that begins with this word."""
    assert process.stdout
    assert process.stderr
    for line in process.stdout:
        if line.startswith(f"{word} "):
            return line.removeprefix(f"{word} ").strip()
    raise AssertionError(process.stderr.read())
