"""Ends an ephemeral cluster when its parent is gone, however that ended.

Runs as `python -m elearning.cluster.embedded.guard FOLDER PARENT`, in a session of its own,
with the read end of a pipe as its standard input. The parent holds the write end: when it ends,
even by SIGKILL, the pipe is closed. Standard library only, so that it is small and quick.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from elearning.cluster.embedded import processes

__all__ = ["READY", "clean_up", "main"]

READY = b"ready\n"
# The servers, and what makes and removes their data.
PROGRAMS = ("postgres", "mongod", "initdb", "pg_basebackup", "cp", "mv", "rm")
LOOK_SECONDS = 1.0
QUIT_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
SHARED_MEMORY = Path("/proc/sysvipc/shm")


def main(arguments: list[str]) -> None:
    """Wait for the end of the parent, then clean up."""
    folder, parent = Path(arguments[0]), int(arguments[1])
    # What ends the parent must not end the guard before it has done its work.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Nobody listens where the parent has ended by now: then the pipe tells so, too.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), READY)
    os.close(sys.stdout.fileno())
    _wait_for_end(sys.stdin.fileno(), parent)
    clean_up(folder)


def clean_up(folder: Path) -> None:
    """Stop every server with data below the folder, and remove the folder."""

    def is_clean() -> bool:
        pids = _programs_below(folder)
        segments = _shared_memory(folder)
        _end(pids)
        for segment in segments:
            _remove_shared_memory(segment)
        shutil.rmtree(folder, ignore_errors=True)
        # A program that was just being started is seen the next time.
        return not pids and not folder.exists()

    processes.wait_until(is_clean, PATIENCE_SECONDS)


def _wait_for_end(pipe: int, parent: int) -> None:
    while True:
        readable, _, _ = select.select([pipe], [], [], LOOK_SECONDS)
        if readable and not os.read(pipe, 1):
            return
        # A process that the parent forked may still hold the pipe.
        if os.getppid() != parent:
            return


def _programs_below(folder: Path) -> list[int]:
    pattern = re.compile(rf"(?:^|/)(?:{'|'.join(PROGRAMS)}) .*{re.escape(str(folder))}/")
    pids = [process.pid for process in processes.process_table() if process.pid != os.getpid()]
    return [pid for pid in pids if pattern.search(processes.command_line(pid))]


def _end(pids: list[int]) -> None:
    """End programs; PostgreSQL at once, but so that it gives its shared memory back."""
    everyone = [one for pid in pids for one in processes.tree(pid)]
    processes.send(everyone, signal.SIGCONT)
    postgres = [pid for pid in pids if re.search(r"(?:^|/)postgres ", processes.command_line(pid))]
    processes.send(set(pids) - set(postgres), signal.SIGKILL)
    processes.send(postgres, signal.SIGQUIT)
    if not processes.wait_gone(everyone, QUIT_SECONDS):
        for pid in postgres:
            processes.kill(pid)


def _shared_memory(folder: Path) -> list[tuple[str, str]]:
    """Return key and id of the System V memory that the servers below the folder have noted."""
    found: list[tuple[str, str]] = []
    for path in folder.glob("data/*/data/postmaster.pid"):
        try:
            key, number = path.read_text().splitlines()[6].split()
        except (OSError, ValueError, IndexError):
            continue
        found.append((key, number))
    return found


def _remove_shared_memory(segment: tuple[str, str]) -> None:
    """Remove what a killed PostgreSQL left, if nobody uses it; Linux alone tells that."""
    try:
        lines = SHARED_MEMORY.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        key, number, *_ = words = line.split()
        if (key, number) == segment and words[6] == "0":
            subprocess.run(
                ["ipcrm", "-m", number],  # noqa: S607 - its folder differs between systems
                capture_output=True,
                check=False,
                env={"PATH": os.defpath},
            )


if __name__ == "__main__":
    main(sys.argv[1:])
