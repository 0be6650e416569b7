"""Look at other processes, and signal whole servers, on Linux and macOS.

Standard library only: the guard imports it, and has to be small and quick to start.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
HAS_PROC = (PROC / "self" / "stat").exists()
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Process:
    """A line of the process table; `state` is the first letter that ps shows."""

    pid: int
    parent: int
    state: str


def process_table() -> list[Process]:
    """Return every process that this user can see."""
    if HAS_PROC:
        pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
        return [found for pid in pids if (found := _from_proc(pid))]
    lines = _ps("-A", "-o", "pid=,ppid=,stat=").splitlines()
    return [Process(int(pid), int(parent), state[0]) for pid, parent, state in map(_split, lines)]


def find_process(pid: int) -> Process | None:
    """Return the process of this id, or None where it is gone; a zombie is gone."""
    if HAS_PROC:
        found = _from_proc(pid)
    else:
        line = _ps("-o", "pid=,ppid=,stat=", "-p", str(pid)).strip()
        found = Process(pid, int(_split(line)[1]), _split(line)[2][0]) if line else None
    return found if found and found.state not in "ZX" else None


def command_line(pid: int) -> str:
    """Return the words that a process was started with, joined by spaces; '' if unknown."""
    if HAS_PROC:
        try:
            words = (PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            return ""
        return words.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return _ps("-ww", "-o", "command=", "-p", str(pid)).strip()


def is_server(pid: int, program: str, data: Path) -> bool:
    """Tell whether this process is the given server on the given data folder.

    A pid alone proves nothing: the number may belong to another process by now.
    """
    if find_process(pid) is None:
        return False
    pattern = rf"(?:^|/){program} (?:.* )?(?:-D|--dbpath)[ =]{re.escape(str(data))}(?: |$)"
    return re.search(pattern, command_line(pid)) is not None


def tree(pid: int) -> list[int]:
    """Return a process and its children: a PostgreSQL server is all of them."""
    return [pid, *(process.pid for process in process_table() if process.parent == pid)]


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes, of which some may be gone already."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition for at most so long; tell whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def wait_gone(pids: Iterable[int], seconds: float) -> bool:
    """Wait until none of these processes is left."""
    left = list(pids)
    return wait_until(lambda: all(find_process(pid) is None for pid in left), seconds)


def is_stopped(pid: int) -> bool:
    """Tell whether a process stands still, by a signal."""
    process = find_process(pid)
    return process is not None and process.state in "Tt"


def pause(pid: int, seconds: float = 10) -> bool:
    """Stop a server and all its processes in their tracks; tell whether all stand still."""
    send([pid], signal.SIGSTOP)
    # The first one forks the others: only when it stands still is the list complete.
    if not wait_until(lambda: _stands_still(pid), seconds):
        return False
    everyone = tree(pid)
    send(everyone, signal.SIGSTOP)
    return wait_until(lambda: all(map(_stands_still, everyone)), seconds)


def resume(pid: int, seconds: float = 10) -> bool:
    """Let a paused server run again; tell whether no process of it stands still."""
    everyone = tree(pid)
    send(everyone, signal.SIGCONT)
    return wait_until(lambda: not any(map(is_stopped, everyone)), seconds)


def kill(pid: int, seconds: float = 10) -> bool:
    """Kill a server with all its processes, as a failing machine would; wait till all are gone."""
    send([pid], signal.SIGSTOP)
    wait_until(lambda: _stands_still(pid), seconds)
    everyone = tree(pid)
    send(everyone, signal.SIGKILL)
    return wait_gone(everyone, seconds)


def _stands_still(pid: int) -> bool:
    return is_stopped(pid) or find_process(pid) is None


def _from_proc(pid: int) -> Process | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the name in parentheses, and may hold spaces and parentheses.
    words = text.rpartition(")")[2].split()
    state, parent, threads = words[0], int(words[1]), int(words[17])
    if state == "Z" and threads > 1:
        # Only the first thread has ended: the others still hold its files and ports.
        state = "R"
    return Process(pid, parent, state)


def _split(line: str) -> tuple[str, str, str]:
    pid, parent, state = line.split(maxsplit=2)
    return pid, parent, state


def _ps(*arguments: str) -> str:
    done = subprocess.run(
        ["ps", *arguments],  # noqa: S607 - its folder differs between systems
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath},
    )
    return done.stdout
