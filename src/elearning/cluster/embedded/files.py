"""Private files, folders that are ours, and the lock of a cluster's folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from elearning.cluster.embedded.processes import wait_until
from elearning.errors import ClusterError

LOCK_FILE = ".lock"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def own_folder(path: Path, mode: int) -> Path:
    """Make a folder, or take it over if it is ours and not open to everybody."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        message = f"{path} cannot be a folder of databases: {error.strerror}"
        raise ClusterError(message) from None
    if not stat.S_ISDIR(found.st_mode):
        message = f"{path} is no folder"
        raise ClusterError(message)
    if found.st_uid != os.geteuid():
        message = f"{path} belongs to user {found.st_uid}: run this as that user"
        raise ClusterError(message)
    if found.st_mode & stat.S_IWOTH:
        message = f"{path} can be written to by everybody: chmod o-w {path}"
        raise ClusterError(message)
    return path


@contextlib.contextmanager
def folder_lock(folder: Path, seconds: float = 120) -> Iterator[None]:
    """Hold the lock of a folder; another `up` or `down` in it waits meanwhile."""
    handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not wait_until(lambda: _try_lock(handle), seconds):
            message = f"another process has held the lock of {folder} for {seconds:.0f} s"
            raise ClusterError(message)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
