"""Looking at processes, by /proc and as on macOS, by ps."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elearning.cluster.embedded import processes
from tests.cluster.embedded_support import WAIT_SECONDS

# A process with a child of its own, which ends with it.
PARENT = (
    "import subprocess; child = subprocess.Popen(['cat', '-'], stdin=subprocess.PIPE); "
    "print(child.pid, flush=True); child.wait()"
)


@pytest.fixture(params=["proc", "ps"])
def _source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "proc" and not processes.HAS_PROC:
        pytest.skip("this system has no /proc")
    if request.param == "ps" and not shutil.which("ps", path=os.defpath):
        pytest.skip("this system has no ps")
    monkeypatch.setattr(processes, "HAS_PROC", request.param == "proc")


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as one:
        yield one
        one.kill()


def child_of(parent: subprocess.Popen[str]) -> int:
    assert parent.stdout
    return int(parent.stdout.readline())


@pytest.mark.usefixtures("_source")
def test_a_process_is_found_with_its_children_and_its_words(parent: subprocess.Popen[str]) -> None:
    child = child_of(parent)
    assert processes.tree(parent.pid) == [parent.pid, child]
    assert processes.command_line(child) == "cat -"
    found = processes.find_process(child)
    assert found
    assert (found.pid, found.parent) == (child, parent.pid)
    os.kill(child, signal.SIGKILL)


@pytest.mark.usefixtures("_source")
def test_pause_resume_and_kill_take_the_children_too(parent: subprocess.Popen[str]) -> None:
    child = child_of(parent)

    assert processes.pause(parent.pid)
    assert {states(parent.pid), states(child)} == {"T"}

    assert processes.resume(parent.pid)
    assert "T" not in {states(parent.pid), states(child)}

    assert processes.kill(parent.pid)
    assert processes.find_process(parent.pid) is None
    assert processes.find_process(child) is None


def states(pid: int) -> str:
    found = processes.find_process(pid)
    return found.state if found else ""


@pytest.mark.usefixtures("_source")
def test_a_dead_process_is_gone_before_its_parent_has_noticed(
    parent: subprocess.Popen[str],
) -> None:
    child_of(parent)
    parent.send_signal(signal.SIGKILL)
    # Not waited for: it is a zombie.
    assert processes.wait_gone([parent.pid], WAIT_SECONDS)
    assert not processes.is_server(parent.pid, "postgres", Path("/data"))


@pytest.mark.usefixtures("_source")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/usr/bin/postgres", "-D", "/the/data"], True),
        (["postgres", "-c", "port=1", "-D", "/the/data"], True),
        (["postgres", "-D", "/the/data2"], False),
        (["postgres", "-D", "/on/the/data"], False),
        (["mypostgres", "-D", "/the/data"], False),
        (["mongod", "--dbpath", "/the/data"], False),
        (["vim", "/the/data"], False),
    ],
    ids=str,
)
def test_a_server_is_known_by_its_program_and_its_data(words: list[str], *, expected: bool) -> None:
    # The name that a process was started by is free to choose.
    with subprocess.Popen(
        [words[0], "-c", "read line", *words[1:]], executable="/bin/sh", stdin=subprocess.PIPE
    ) as process:
        assert processes.is_server(process.pid, "postgres", Path("/the/data")) is expected


def test_a_wait_ends_at_its_deadline() -> None:
    assert not processes.wait_until(lambda: False, 0.05)
    assert processes.wait_until(lambda: True, 0)
