"""A cluster for the time of a `with` block, of which nothing is left whatever happens."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from elearning.cluster.embedded import guard
from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.cluster import EmbeddedCluster
from elearning.cluster.embedded.places import passing_base
from elearning.cluster.embedded.topology import Topology
from elearning.errors import ClusterError

__all__ = ["ephemeral_cluster"]

SOURCE = str(Path(__file__).parents[3])
READY_SECONDS = 30
END_SECONDS = 60


@contextlib.contextmanager
def ephemeral_cluster(
    *,
    topology: Topology | None = None,
    durable: bool = False,
    postgres_bin: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> Iterator[EmbeddedCluster]:
    """Run a cluster in a temporary folder; a guard process removes both in the end.

    Data that need not last is kept in memory where there is plenty; TMPDIR says where else.

    Args:
        topology: default: Topology().
        durable: whether data is forced to disk.
        postgres_bin: folder of PostgreSQL's binaries, in place of a search for them.
        report: is told of each step.

    Yields:
        The cluster, ready.
    """
    account = Account.for_servers()
    folder = Path(tempfile.mkdtemp(prefix="elearning-", dir=passing_base(account, durable=durable)))
    try:
        if account.is_other:
            folder.chmod(0o711)
        with _guarded(folder):
            cluster = EmbeddedCluster(
                folder,
                topology=topology,
                durable=durable,
                postgres_bin=postgres_bin,
                report=report,
            )
            cluster.up()
            yield cluster
    finally:
        # The guard has done it, unless it was killed itself.
        if folder.exists():
            guard.clean_up(folder)


@contextlib.contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", guard.__name__, str(folder), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # It finds this package in the same place as we do, however we came to find it.
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), SOURCE])},
        cwd="/",
        start_new_session=True,
    )
    with process:
        try:
            _wait_ready(process)
            yield
        finally:
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_ready(process: subprocess.Popen[bytes]) -> None:
    """Wait until the guard keeps watch: nothing is started before."""
    if process.stdout is None:
        return
    readable, _, _ = select.select([process.stdout], [], [], READY_SECONDS)
    if not readable or process.stdout.readline() != guard.READY:
        process.kill()
        message = "the guard of an ephemeral cluster did not start"
        raise ClusterError(message)
