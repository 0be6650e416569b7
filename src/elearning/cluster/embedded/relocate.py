"""Copies of server binaries for a user who cannot reach the originals.

A virtual environment below /root is closed to the user that runs the servers for root. The
copy belongs to root and is used again by every later start.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.binaries import Binaries
from elearning.cluster.embedded.files import own_folder
from elearning.cluster.embedded.places import shared_folder

__all__ = ["reachable"]

NOT_COPIED = shutil.ignore_patterns("*.a", "include", "doc", "man", "pkgconfig")


def reachable(
    binaries: Binaries, main: str, account: Account, report: Callable[[str], None]
) -> Binaries:
    """Return these binaries where the account can execute them, copied there if need be.

    Args:
        binaries: what was found.
        main: the program that the server is.
        account: who is to run it.
        report: told when a copy is made.
    """
    if _runs(binaries.program(main), account):
        return binaries
    base = own_folder(shared_folder(account) / "binaries", 0o755)
    target = base / _key(binaries, main)
    if not target.exists():
        report(f"user {account.name} cannot reach {binaries.folder}: copying it to {target}")
        draft = base / f".{target.name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        for source, inside in _parts(binaries.folder, main):
            _copy(source, draft / inside)
        _open_for_reading(draft)
        try:
            draft.rename(target)
        except OSError:
            # Another process was quicker; its copy is as good.
            shutil.rmtree(draft, ignore_errors=True)
    return replace(binaries, folder=target / _inside(binaries.folder, main))


def _runs(program: Path, account: Account) -> bool:
    if not account.is_other:
        return True
    try:
        return account.run(program, "--version").returncode == 0
    except PermissionError:
        return False


def _key(binaries: Binaries, main: str) -> str:
    program = binaries.program(main).resolve()
    found = program.stat()
    identity = f"{program}:{found.st_size}:{found.st_mtime_ns}"
    return f"{main}-{binaries.version}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def _inside(folder: Path, main: str) -> Path:
    """Return where in a copy the programs are."""
    if main == "mongod":
        return Path()
    # PostgreSQL finds its libraries and its share folder from where it lies itself.
    return Path(folder.parent.parent.name, folder.parent.name, folder.name)


def _parts(folder: Path, main: str) -> list[tuple[Path, Path]]:
    """Return what to copy, each with its place in the copy."""
    if main == "mongod":
        return [(folder / main, Path(main))]
    install = folder.parent
    package = install.parent
    parts = [(install, _inside(folder, main).parent)]
    # A wheel keeps the libraries that it brings beside its package, or on macOS in it.
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        parts.append((libraries, Path(libraries.name)))
    if (package / ".dylibs").is_dir():
        parts.append((package / ".dylibs", Path(package.name, ".dylibs")))
    return parts


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=NOT_COPIED)
    else:
        shutil.copy2(source, target)


def _open_for_reading(folder: Path) -> None:
    """Let everybody read and execute, and nobody but us write."""
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        executable = stat.S_ISDIR(mode) or mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)
