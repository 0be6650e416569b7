"""Who runs the servers: an ordinary user, or one that root steps down to."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from elearning.cluster.embedded import (
    EmbeddedCluster,
    Topology,
    account,
    binaries,
    places,
    processes,
)
from elearning.cluster.embedded.account import Account
from elearning.cluster.embedded.relocate import reachable
from elearning.errors import ClusterError
from tests.cluster.embedded_support import (
    SOURCE,
    WAIT_SECONDS,
    all_gone,
    child_with_cluster,
    pids,
    read_until,
)

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another user")


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that the servers' user cannot look into, as root's home."""
    folder = Path(tempfile.mkdtemp(prefix="elearning-test-"))
    yield folder
    shutil.rmtree(folder)


@root_only
def test_the_servers_of_root_run_as_somebody_else(embedded: EmbeddedCluster) -> None:
    assert embedded.last_up
    entry = pwd.getpwnam(embedded.last_up.user)
    assert entry.pw_uid != 0
    for pid in pids(embedded).values():
        assert Path(f"/proc/{pid}").stat().st_uid == entry.pw_uid
        groups = next(
            line
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("Groups:")
        )
        assert groups.split()[1:] in ([], [str(entry.pw_gid)])


@root_only
def test_data_is_kept_elsewhere_when_its_user_cannot_reach_the_folder(
    base: Path, closed: Path
) -> None:
    user = Account.for_servers()

    data = places.data_folder(closed, user)

    assert base in data.parents
    assert data.stat().st_uid == user.uid
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert data.parent.stat().st_uid == 0
    assert not (closed / "data").exists()
    assert places.data_folder(closed, user) == data

    closed.chmod(0o711)
    assert places.data_folder(closed, user) == closed / "data"


@root_only
def test_remove_leaves_nothing_of_data_that_is_kept_elsewhere(base: Path, closed: Path) -> None:
    folder = closed / "cluster"
    lines: list[str] = []
    topology = Topology(shards={"eu": ()}, replicas=0)
    cluster = EmbeddedCluster(folder, topology=topology, durable=False, report=lines.append)
    data = cluster.up().data
    assert base in data.parents
    assert any(f"cannot reach {folder}: data in {data}" in line for line in lines)
    running = pids(cluster)

    cluster.remove()

    assert all_gone([*running.values()], folder)
    assert not data.parent.exists()
    cluster.remove()


@root_only
def test_a_folder_of_somebody_else_is_not_trusted(base: Path, closed: Path) -> None:
    user = Account.for_servers()
    data = places.data_folder(closed, user)

    os.chown(data, 12345, 12345)
    with pytest.raises(ClusterError, match="belongs to user 12345, not to"):
        places.data_folder(closed, user)

    os.chown(data.parent.parent, 12345, 12345)
    with pytest.raises(ClusterError, match="belongs to user 12345"):
        places.data_folder(closed, user)

    data.parent.parent.rename(base / "theirs")
    (base / f"elearning-{os.geteuid()}").symlink_to(base / "theirs")
    with pytest.raises(ClusterError, match="is no folder"):
        places.data_folder(closed, user)


def test_data_that_need_not_last_is_kept_in_memory_where_there_is_plenty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = Account.for_servers()
    memory = Path(tempfile.mkdtemp(prefix="elearning-test-"))
    memory.chmod(0o777)
    monkeypatch.setattr(places, "MEMORY", memory)
    monkeypatch.setattr(places, "MEMORY_BYTES", 0)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    usual = places.reachable_base(user)

    assert places.passing_base(user, durable=False) == memory
    assert places.passing_base(user, durable=True) == usual
    monkeypatch.setattr(places, "MEMORY_BYTES", 1 << 60)
    assert places.passing_base(user, durable=False) == usual
    monkeypatch.setattr(places, "MEMORY_BYTES", 0)
    monkeypatch.setenv("TMPDIR", str(usual))
    assert places.passing_base(user, durable=False) == usual
    monkeypatch.delenv("TMPDIR")
    memory.rmdir()
    assert places.passing_base(user, durable=False) == usual


@root_only
def test_a_cluster_of_somebody_else_is_refused(base: Path) -> None:
    theirs = base / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    with pytest.raises(ClusterError, match="run this as that user"):
        EmbeddedCluster(theirs).up()
    os.chown(theirs, 0, 0)
    theirs.chmod(0o777)
    with pytest.raises(ClusterError, match="can be written to by everybody"):
        EmbeddedCluster(theirs).up()


@root_only
def test_binaries_out_of_reach_are_copied_once(base: Path, closed: Path) -> None:
    found = binaries.find_postgresql()
    package = found.folder.parents[1]
    hidden = closed / package.name / found.folder.parent.name
    shutil.copytree(found.folder.parent, hidden, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, closed / libraries.name)
    # A careless umask is not copied.
    for path in hidden.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o022)
    original = binaries.find_postgresql(hidden / "bin")
    user = Account.for_servers()
    with pytest.raises(PermissionError):
        user.run(original.program("postgres"), "--version")
    lines: list[str] = []

    copied = reachable(original, "postgres", user, lines.append)

    assert base in copied.folder.parents
    assert len(lines) == 1
    assert str(copied.folder.parents[2]) in lines[0]
    assert found.version in user.command(copied.program("postgres"), "--version")
    # It finds its share folder and its libraries from where it lies now.
    target = base / "template"
    target.mkdir()
    os.chown(target, user.uid or 0, user.gid or 0)
    user.command(copied.program("initdb"), "--no-sync", "--pgdata", target)
    modes = {path.lstat().st_mode for path in copied.folder.parents[2].rglob("*")}
    assert not [mode for mode in modes if mode & 0o022 and not stat.S_ISLNK(mode)]

    before = copied.program("postgres").stat().st_ino
    again = reachable(original, "postgres", user, lines.append)
    assert again == copied
    assert copied.program("postgres").stat().st_ino == before
    assert len(lines) == 1


@root_only
def test_a_single_program_is_copied_too(base: Path, closed: Path) -> None:
    program = closed / "mongod"
    program.write_text("#!/bin/sh\necho db version v6.0.5\n")
    program.chmod(0o755)
    user = Account.for_servers()

    copied = reachable(binaries.find_mongodb([closed]), "mongod", user, lambda _: None)

    assert base in copied.folder.parents
    assert user.command(copied.program("mongod")).strip() == "db version v6.0.5"


@root_only
def test_root_needs_an_unprivileged_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Account.for_servers("nobody").name == "nobody"
    monkeypatch.setattr(account, "CANDIDATES", ("no-such-user", "root"))
    with pytest.raises(ClusterError, match="there is no user no-such-user or root"):
        Account.for_servers()


def test_servers_do_not_inherit_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/somewhere")
    monkeypatch.setenv("ELEARNING_SECRET", "confidential")
    shown = Account.for_servers().command("env")
    assert "PGDATA" not in shown
    assert "confidential" not in shown
    assert "LC_ALL=C" in shown


def test_a_failing_command_is_reported_with_its_words() -> None:
    user = Account.for_servers()
    with pytest.raises(ClusterError, match=rf"(?s)sh failed as {user.name}:\nbad luck"):
        user.command("sh", "-c", "echo bad luck >&2; exit 3")
    with pytest.raises(ClusterError, match="sleep took longer than 0 s"):
        user.run("sleep", "5", seconds=0.1)


def interpreter_for(uid: int) -> list[str] | None:
    """Return a Python of our version that this user can run with our packages."""
    same = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, shutil.which(same, path="/usr/local/bin:/usr/bin")):
        if candidate is None:
            continue
        check = [candidate, "-c", "import psycopg, pymongo, elearning.cluster.embedded.cluster"]
        try:
            done = subprocess.run(
                check, user=uid, group=uid, extra_groups=[], env=packages(), check=False, cwd="/"
            )
        except PermissionError:
            continue
        if done.returncode == 0:
            return [candidate]
    return None


def packages() -> dict[str, str]:
    paths = [path for path in sys.path if path.endswith("-packages")]
    return {"PYTHONPATH": os.pathsep.join([str(SOURCE), *paths]), "PATH": "/usr/bin:/bin"}


@root_only
def test_an_ordinary_user_runs_a_cluster_in_a_folder_of_its_own(base: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    python = interpreter_for(nobody.pw_uid)
    if python is None:
        pytest.skip("no Python of this version that user nobody can run with these packages")
    own = base / "nobody"
    own.mkdir(mode=0o700)
    os.chown(own, nobody.pw_uid, nobody.pw_gid)

    with child_with_cluster(
        python=python,
        env={**packages(), "TMPDIR": str(own)},
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd="/",
    ) as child:
        folder = Path(read_until(child, "folder"))
        running = [int(pid) for pid in read_until(child, "pids").split()]

        assert own in folder.parents
        assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in running} == {nobody.pw_uid}

        child.kill()
        child.wait()
        assert processes.wait_until(lambda: all_gone(running, folder), WAIT_SECONDS)
