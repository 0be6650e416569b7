"""The operating system user that runs the servers; PostgreSQL refuses root.

Root makes the files of the servers through commands that run as their user, too: in a folder
that belongs to somebody else, a file name may be a link that leads anywhere.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from elearning.errors import ClusterError

__all__ = ["Account"]

CANDIDATES = ("postgres", "nobody")
KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")

# The server's process is a child of nobody here: it outlives this process, and leaves no zombie.
LAUNCH = 'umask 077; log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'
WRITE = 'umask 077; cat >"$1.draft" && mv -f "$1.draft" "$1"'
COPY = 'rm -rf "$2.draft" && cp -R "$1" "$2.draft" && mv "$2.draft" "$2"'


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the servers: this process's own user, or one that root steps down to."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def for_servers(cls, name: str | None = None) -> Account:
        """Return our own account, or for root an unprivileged one (by name, if it is known).

        Raises:
            ClusterError: root finds no such user.
        """
        if os.geteuid() != 0:
            return cls(_own_name())
        for candidate in [name] if name else CANDIDATES:
            try:
                entry = pwd.getpwnam(candidate)
            except KeyError:
                continue
            if entry.pw_uid != 0:
                return cls(candidate, entry.pw_uid, entry.pw_gid)
        wanted = name or " or ".join(CANDIDATES)
        message = f"PostgreSQL does not run as root, and there is no user {wanted} to run it as"
        raise ClusterError(message)

    @property
    def is_other(self) -> bool:
        """Whether the servers run as somebody else than this process."""
        return self.uid is not None

    def run(
        self, *command: str | Path, stdin: str = "", seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user to its end, with an environment of its own.

        Raises:
            ClusterError: it takes longer than that.
            PermissionError: this user cannot execute it.
        """
        try:
            return subprocess.run(
                [str(word) for word in command],
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=seconds,
                # Our own folder may be closed to this user.
                cwd="/",
                env=_environment(),
                user=self.uid,
                group=self.gid,
                extra_groups=[] if self.is_other else None,
            )
        except subprocess.TimeoutExpired:
            message = f"{Path(command[0]).name} took longer than {seconds:.0f} s"
            raise ClusterError(message) from None

    def launch(self, log: Path, *command: str | Path) -> int:
        """Start a server in a session of its own, with its output in the log; return its pid."""
        started = subprocess.run(
            ["/bin/sh", "-c", LAUNCH, "sh", str(log), *map(str, command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            env=_environment(),
            user=self.uid,
            group=self.gid,
            extra_groups=[] if self.is_other else None,
            # Ctrl-C in the terminal is for us, not for the servers.
            start_new_session=True,
        )
        return int(started.stdout)

    def command(self, *command: str | Path, stdin: str = "", seconds: float = 120) -> str:
        """Run a command that should not fail; return what it printed.

        Raises:
            ClusterError: it failed; with the last lines that it printed.
        """
        done = self.run(*command, stdin=stdin, seconds=seconds)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()[-10:]
            message = "\n".join([f"{Path(command[0]).name} failed as {self.name}:", *lines])
            raise ClusterError(message)
        return done.stdout

    def write(self, path: Path, text: str) -> bool:
        """Write a file that only this user can read, whole or not at all; tell of a change."""
        # Each command is a fork of this process, and a start has many files that stay the same.
        if _holds(path, text):
            return False
        self.command("sh", "-c", WRITE, "sh", path, stdin=text)
        return True

    def make_folders(self, *paths: Path) -> None:
        """Make folders, which may be there already, for this user alone."""
        if not all(path.is_dir() for path in paths):
            self.command("sh", "-c", 'umask 077; mkdir -p "$@"', "sh", *paths)

    def copy(self, source: Path, target: Path) -> None:
        """Copy a folder to a place where nothing is, whole or not at all."""
        self.command("sh", "-c", COPY, "sh", source, target)

    def remove(self, path: Path) -> None:
        """Remove a file or folder, which may be gone already."""
        if path.exists() or path.is_symlink():
            self.command("rm", "-rf", path)

    def tail(self, path: Path, lines: int) -> str:
        """Return the last lines of a file, or nothing where there is none."""
        return self.run("tail", "-n", str(lines), path).stdout.strip()

    def can_use(self, folder: Path) -> bool:
        """Tell whether this user can work in a folder: every folder above it must let it pass."""
        script = 'test -x "$1" && test -w "$1"'
        return self.run("sh", "-c", script, "sh", folder).returncode == 0

    def can_pass(self, folder: Path) -> bool:
        """Tell whether this user can reach what lies in a folder."""
        return self.run("test", "-x", folder).returncode == 0


def _holds(path: Path, text: str) -> bool:
    """Tell whether a file is private and has this text."""
    try:
        return not path.stat().st_mode & 0o077 and path.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False


def _environment() -> dict[str, str]:
    """Return what a server needs; ours may hold passwords, or settings such as PGDATA."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **kept}


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
