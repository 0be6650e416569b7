"""Child processes that have the package imported already, which takes each of them two seconds.

A server that has imported it forks them. They are processes of their own for all else: folder,
environment, arguments, output, exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

__all__ = ["end_server", "run_child"]

_SERVER = multiprocessing.get_context("forkserver")
_IMPORTED = [
    "alembic.config",
    "elearning.cli.app",
    "elearning.cluster.embedded",
    "elearning.cluster.health",
    "elearning.cluster.migrations",
    "elearning.flows",
]


def run_child(
    main: Callable[[], object],
    words: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
) -> subprocess.CompletedProcess[str]:
    """Run a program's function in a child, and return what it wrote.

    Args:
        main: the function; it finds its arguments in `sys.argv`, as that of a script does.
        words: the program's name and the arguments.
        folder: the current one there.
        environment: all of it. Coverage is measured where that asks for it.
    """
    with tempfile.TemporaryDirectory() as name:
        paths = Path(name, "out"), Path(name, "err")
        # For the server that begins now, if none runs.
        _SERVER.set_forkserver_preload(_IMPORTED)
        child = _SERVER.Process(target=_run, args=(main, words, folder, environment, paths))
        child.start()
        child.join()
        code = child.exitcode
        child.close()
        out, err = (path.read_text("utf-8") if path.exists() else "" for path in paths)
    assert code is not None
    return subprocess.CompletedProcess(words, code, out, err)


def end_server() -> None:
    """End the server that forks, and wait until it has: what it measured is written then."""
    server: Any = forkserver
    server._forkserver._stop()


def _run(
    main: Callable[[], object],
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    paths: tuple[Path, Path],
) -> None:
    for number, path in enumerate(paths, start=1):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    if "COVERAGE_PROCESS_CONFIG" not in environment:
        sys.settrace(None)
        threading.settrace(None)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[:] = words
    main()
