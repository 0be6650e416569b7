"""Where things lie when the servers' user is not the one who asks for them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.files import own_folder
from elearning.errors import ClusterError

__all__ = ["data_folder", "passing_base", "reachable_base", "shared_folder"]

MEMORY = Path("/dev/shm")  # noqa: S108
# A fresh cluster takes 0.4 GB.
MEMORY_BYTES = 4 << 30


def shared_folder(account: Account) -> Path:
    """Return a folder of ours that the servers' user can reach, wherever ours may be closed."""
    return own_folder(reachable_base(account, last=True) / f"elearning-{os.geteuid()}", 0o711)


def data_folder(folder: Path, account: Account) -> Path:
    """Make the folder that holds the servers' data, and return where it is.

    That is `data` in the cluster's folder, unless the servers' user cannot reach it there.
    """
    data = folder / "data"
    if not account.is_other:
        data.mkdir(mode=0o700, exist_ok=True)
        return data
    _give(data, account)
    if account.can_use(data):
        return data
    data.rmdir()
    # Named after the folder, so that the next `up` finds it even if the state file is lost.
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    data = own_folder(shared_folder(account) / name, 0o711) / "data"
    _give(data, account)
    return data


def reachable_base(account: Account, *, last: bool = False) -> Path:
    """Return a folder for temporary files that the account can reach.

    Args:
        account: who must be able to pass.
        last: rather one that lasts over a restart of the machine.

    Raises:
        ClusterError: there is none.
    """
    usual = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108
    candidates = [Path("/var/tmp"), *usual] if last else [*usual, Path("/var/tmp")]  # noqa: S108
    for base in candidates:
        if os.access(base, os.W_OK) and account.can_pass(base):
            return base.resolve()
    message = f"none of {', '.join(map(str, candidates))} can be reached by user {account.name}"
    raise ClusterError(message)


def passing_base(account: Account, *, durable: bool) -> Path:
    """Return a folder for data that will be thrown away.

    That is in memory where there is plenty of it: on a slow disk, making and removing the data
    takes longer than all the rest. TMPDIR and its kin have precedence.
    """
    chosen = any(name in os.environ for name in ("TMPDIR", "TEMP", "TMP"))
    if not (durable or chosen) and _free_bytes(MEMORY) > MEMORY_BYTES and account.can_use(MEMORY):
        return MEMORY
    return reachable_base(account)


def _free_bytes(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def _give(data: Path, account: Account) -> None:
    """Make a folder for the account, in a folder that only we can write to."""
    if account.uid is None or account.gid is None:
        return
    try:
        data.mkdir(mode=0o700)
    except FileExistsError:
        owner = data.lstat().st_uid
        if owner not in (os.geteuid(), account.uid):
            message = f"{data} belongs to user {owner}, not to {account.name}"
            raise ClusterError(message) from None
    os.chown(data, account.uid, account.gid, follow_symlinks=False)
