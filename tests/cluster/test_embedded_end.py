"""Whatever ends an ephemeral cluster: no process and no folder is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from elearning.cluster.embedded import Topology, ephemeral_cluster, guard, processes
from tests.cluster.embedded_support import (
    SOURCE,
    WAIT_SECONDS,
    all_gone,
    child_with_cluster,
    query,
    read_until,
)

SMALL = Topology(shards={"eu": ("europe",)}, replicas=0)


def segments(pids: Iterable[int]) -> set[str]:
    """Return the System V shared memory of these servers that nobody uses."""
    path = Path("/proc/sysvipc/shm")
    if not path.exists():
        return set()
    lines = [line.split() for line in path.read_text().splitlines()[1:]]
    makers = {str(pid) for pid in pids}
    found = {words[1] for words in lines if words[6] == "0" and words[4] in makers}
    return found - _BEFORE


_BEFORE: set[str] = set()


@pytest.fixture(autouse=True)
def _segments_before() -> None:
    """Leave out what others have left: the ids of processes come round again."""
    _BEFORE.clear()
    path = Path("/proc/sysvipc/shm")
    if path.exists():
        _BEFORE.update(line.split()[1] for line in path.read_text().splitlines()[1:])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_end_of_the_parent_ends_its_cluster(number: signal.Signals) -> None:
    # A paused server hears no signal: the guard has to wake it.
    with child_with_cluster(*(["pause"] if number == signal.SIGKILL else [])) as child:
        folder = Path(read_until(child, "folder"))
        running = [int(pid) for pid in read_until(child, "pids").split()]
        everyone = [one for pid in running for one in processes.tree(pid)]
        assert len(everyone) > 4
        assert (folder / "data" / "eu-primary").is_dir()

        child.send_signal(number)

        assert child.wait(WAIT_SECONDS) != 0
        assert processes.wait_until(lambda: all_gone(everyone, folder), WAIT_SECONDS)
    assert not segments(running)


def test_a_parent_killed_while_servers_start_leaves_nothing() -> None:
    with child_with_cluster() as child:
        # PostgreSQL is being set up now: by initdb, by cp, or by servers that just start.
        read_until(child, "report mongodb")
        (folder,) = [
            Path(processes.command_line(process.pid).split()[-2])
            for process in processes.process_table()
            if process.parent == child.pid and guard.__name__ in processes.command_line(process.pid)
        ]
        assert folder.is_dir()
        child.kill()
        child.wait()
        assert processes.wait_until(lambda: all_gone([], folder), WAIT_SECONDS)


def test_a_killed_guard_does_not_keep_the_cluster_alive() -> None:
    with ephemeral_cluster(topology=SMALL) as cluster:
        running = [node.pid for node in cluster.status() if node.pid]
        (watch,) = [
            process.pid
            for process in processes.process_table()
            if process.parent == os.getpid()
            and f"{guard.__name__} {cluster.folder}" in processes.command_line(process.pid)
        ]
        os.kill(watch, signal.SIGKILL)
        assert processes.wait_gone([watch], WAIT_SECONDS)
        assert query(cluster, "eu-primary", "elearning_app", "SELECT 1") == [(1,)]
    assert all_gone(running, cluster.folder)


def test_a_failed_block_ends_the_cluster_and_clears_what_a_killed_server_left() -> None:
    folders: list[Path] = []
    pids: list[int] = []

    def fail() -> None:
        with ephemeral_cluster(topology=SMALL) as cluster:
            folders.append(cluster.folder)
            pids.append(cluster.node("eu-primary").pid or 0)
            cluster.node("eu-primary").kill()
            if Path("/proc/sysvipc/shm").exists():
                assert segments(pids)
            message = "in the block"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="in the block"):
        fail()
    assert not segments(pids)
    assert all_gone([], folders[0])


def test_the_guard_loads_no_driver() -> None:
    code = f"import sys, {guard.__name__}; print([*sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert guard.__name__ in done.stdout
    assert not [name for name in ("psycopg", "pymongo", "sqlalchemy") if f"'{name}'" in done.stdout]


def test_the_guard_leaves_other_programs_alone(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    tail = [str(shutil.which("tail")), "-f", "/dev/null", str(folder / "log")]
    with subprocess.Popen(tail, stderr=subprocess.DEVNULL) as reader:
        guard.clean_up(folder)
        assert reader.poll() is None
        reader.kill()
    assert not folder.exists()


def test_a_parent_that_ends_before_the_guard_is_ready_leaves_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    read, written = os.pipe()
    os.close(read)  # nobody listens any more
    done = subprocess.run(
        [sys.executable, "-m", guard.__name__, str(folder), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=written,
        check=False,
        timeout=WAIT_SECONDS,
    )
    os.close(written)
    assert done.returncode == 0
    assert not folder.exists()
