"""The command as a person runs it: a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from elearning.cli import main
from elearning.cluster.embedded import EmbeddedCluster
from elearning.ids import new_id
from elearning.models import HEAD
from tests.children import run_child
from tests.importing.dataset import FILES, Dataset
from tests.snapshots import connect

ROOT = Path(__file__).resolve().parents[2]


def elearning(
    *words: str,
    folder: Path = ROOT,
    environment: dict[str, str] | None = None,
    measured: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run the command; what ran before need not be measured again, which is slow."""
    found = _environment(measured=measured) | (environment or {})
    return run_child(main, ["elearning", *words], folder=folder, environment=found)


def _environment(*, measured: bool) -> dict[str, str]:
    hidden = ("ELEARNING",) if measured else ("ELEARNING", "COVERAGE")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return plain | {"COLUMNS": "200"}


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: disks are slow, and these clusters wait for them."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of its own below it
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as name:
        folder = Path(name)
        folder.chmod(0o711)  # servers of root run as another user
        yield folder


def test_help_names_every_command() -> None:
    # As installed, and with all that it imports.
    done = subprocess.run(
        [Path(sys.executable).with_name("elearning"), "--help"],
        env=_environment(measured=False),
        capture_output=True,
        text=True,
        check=True,
    )
    for command in (
        "up",
        "down",
        "status",
        "migrate",
        "reconcile",
        "recover",
        "health",
        "demo",
        "import",
    ):
        assert re.search(rf"\b{command}\b", done.stdout), command


def test_nothing_set_up_is_one_line(tmp_path: Path) -> None:
    done = elearning("health", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: ELEARNING_SHARDS: names no shard: set it, or start databases with 'elearning up'"
    ]
    status = elearning("status", folder=tmp_path, measured=False)
    assert status.returncode == 1
    assert "no embedded cluster here" in status.stdout
    assert elearning("down", folder=tmp_path, measured=False).stdout == "nothing was running\n"


def test_health(cluster: EmbeddedCluster) -> None:
    done = elearning("health", environment=cluster.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 7 + 6
    for word in ("total users", "total courses", "total enrollments", "total revenue", "documents"):
        assert word in done.stdout


def test_health_with_a_replica_killed_by_its_pid(cluster: EmbeddedCluster) -> None:
    replica = cluster.node("na-replica-1")
    replica.kill()
    try:
        done = elearning("health", environment=cluster.environment(), measured=False)
        plain = elearning("health", "--json", environment=cluster.environment())
    finally:
        replica.start()
    assert done.returncode == plain.returncode == 1
    assert done.stdout.count("✓") == 6 + 6
    assert done.stdout.count("✗") == 1
    report = json.loads(plain.stdout)
    assert [node["name"] for node in report["nodes"] if not node["ok"]] == ["na-replica-1"]


def test_migrate_prints_a_line_a_shard(cluster: EmbeddedCluster) -> None:
    done = elearning("migrate", environment=cluster.environment())
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["shard", "from", "to", "time"]
    for line, shard in zip(lines, ("na", "eu", "asia"), strict=True):
        told = rf"✓ {shard} +{HEAD} +{HEAD} +\d+\.\d s  nothing to do"
        assert re.fullmatch(told, line)


def test_migrate_tells_of_a_shard_that_fails(cluster: EmbeddedCluster) -> None:
    environment = cluster.environment()
    environment["ELEARNING_SHARD_EU_OWNER"] = "postgresql+psycopg://o:s3cret@127.0.0.1:1/x"
    done = elearning("migrate", environment=environment)
    assert done.returncode == 1
    na, eu, asia = done.stdout.splitlines()[1:]
    assert "nothing to do" in na
    assert re.match(r"✗ eu +- +- +\d+\.\d s  eu-primary at 127\.0\.0\.1:1 is not available: ", eu)
    assert "nothing to do" in asia
    assert done.stderr == "run it again when the cause is gone: it goes on where it stopped\n"
    assert "s3cret" not in done.stdout


def test_demo_shows_every_step_and_leaves_nothing(memory: Path) -> None:
    done = elearning("demo", environment={"TMPDIR": str(memory)})
    assert list(memory.iterdir()) == []
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout
    assert text.count("registered") == 12
    assert text.count("100.00 %, completed") == 12
    for abbreviation in ("NA", "SA", "EU", "AF", "AS", "OC"):
        assert f"invoice {abbreviation}-" in text
    for error in ("EmailTaken", "AlreadyEnrolled", "CourseFull", "InvalidAmount"):
        assert error in text
    assert re.search(r"looked up by email: .* asia-replica-1  \d+\.\d ms", text)
    assert re.search(r"enrolled in .* na-replica-1 → na-primary → .*mongodb", text)
    # Everybody takes a course of another region, too; two of them wait for a full one.
    assert "total enrollments:  22" in text
    assert "full: waits as number 2" in text
    assert len(re.findall(r"✓ copies \w+ → \w+: ", text)) == 6
    assert "✗" not in text
    seconds = re.search(r"the whole demo took (\d+\.\d) s", text)
    assert seconds is not None


def test_up_and_all_that_runs_on_it(memory: Path) -> None:
    folder = memory / "cluster"
    there = {"ELEARNING_CLUSTER_DIR": str(folder)}
    try:
        up = elearning("up", "--dir", str(folder))
        assert up.returncode == 0, up.stderr
        assert re.search(r"started .*na-primary.* in \d+\.\d s \(PostgreSQL 1\d", up.stdout)
        again = elearning("up", "--dir", str(folder), measured=False)
        assert again.returncode == 0
        assert "already runs" in again.stdout
        # The demo keeps the cluster that it finds, and can be shown again.
        for known in (0, 12):
            demo = elearning(
                "demo", "--keep", folder=memory, environment=there, measured=known == 12
            )
            assert demo.returncode == 0, demo.stdout + demo.stderr
            assert "the servers keep running" in demo.stdout
            assert demo.stdout.count("is here already") == known
        EmbeddedCluster(folder).node("eu-replica-1").kill()
        status = elearning("status", "--dir", str(folder))
        assert (status.returncode, status.stdout.count("✗")) == (1, 1)
        mended = elearning("up", "--dir", str(folder), measured=False)
        assert "started eu-replica-1 in" in mended.stdout
        # The settings are found without a variable, from the project's folder.
        health = elearning("health", folder=memory, environment=there, measured=False)
        assert (health.returncode, health.stdout.count("✓")) == (0, 7 + 6)
    finally:
        stopped = elearning("down", "--dir", str(folder), measured=False)
        assert "na-primary" in stopped.stdout
        assert elearning("status", "--dir", str(folder), measured=False).returncode == 1
        deleted = elearning("down", "--dir", str(folder), "--delete")
    assert deleted.stdout == "nothing was running\nits data is deleted\n"
    assert (
        "no embedded cluster here"
        in elearning("status", "--dir", str(folder), measured=False).stdout
    )


def test_import_oulad(cluster: EmbeddedCluster, empty_databases: None, tmp_path: Path) -> None:
    for stem, lines in FILES.items():
        Dataset(tmp_path).write(stem, lines)
    done = elearning("import", "oulad", str(tmp_path), environment=cluster.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^enrollments: 6$", done.stdout, re.MULTILINE)
    assert "messages delivered: 6" in done.stdout
    # Brackets are not markup.
    missing = elearning("import", "oulad", "/no[/where]", environment=cluster.environment())
    assert missing.returncode == 1
    assert "/no[/where]" in missing.stderr
    assert "Traceback" not in missing.stderr


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300])
def test_up_where_no_folder_can_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    done = elearning("up", "--dir", str(tmp_path / place), measured=False)
    assert done.returncode == 1
    assert "cannot be a folder of databases" in done.stderr
    assert "Traceback" not in done.stderr


def test_deliver(cluster: EmbeddedCluster, empty_databases: None) -> None:
    payload = json.dumps({"user_id": str(new_id("asia")), "preferences": {}})
    with connect(make_url(cluster.environment()["ELEARNING_SHARD_ASIA_PRIMARY"])) as connection:
        connection.execute(
            "INSERT INTO outbox (topic, payload) VALUES ('user_registered', %s)", [payload]
        )
    mongodb = cluster.node("mongodb")
    mongodb.kill()
    try:
        waiting = elearning("deliver", environment=cluster.environment())
    finally:
        mongodb.start()
    assert waiting.returncode == 1
    assert "the outbox keeps the rest" in waiting.stderr
    done = elearning("deliver", environment=cluster.environment())
    assert (done.returncode, done.stdout) == (0, "messages delivered: 1\n")


@pytest.mark.parametrize("words", [("fly",), ("import", "moodle"), ("health", "--xml")])
def test_words_that_mean_nothing(words: tuple[str, ...]) -> None:
    done = elearning(*words, measured=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
