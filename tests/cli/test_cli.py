"""The command as a person runs it: a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from elearning.cluster.embedded import EmbeddedCluster
from elearning.ids import new_id
from tests.importing.dataset import FILES, Dataset
from tests.snapshots import connect

ROOT = Path(__file__).resolve().parents[2]


def elearning(
    *words: str, folder: Path = ROOT, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ELEARNING")}
    return subprocess.run(
        [sys.executable, "-c", "from elearning.cli import main; main()", *words],
        cwd=folder,
        env=plain | {"COLUMNS": "200"} | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command() -> None:
    done = elearning("--help")
    assert done.returncode == 0
    for command in ("up", "down", "status", "migrate", "health", "demo", "import"):
        assert re.search(rf"\b{command}\b", done.stdout), command


def test_nothing_set_up_is_one_line(tmp_path: Path) -> None:
    done = elearning("health", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: ELEARNING_SHARDS: names no shard: set it, or start databases with 'elearning up'"
    ]
    status = elearning("status", folder=tmp_path)
    assert status.returncode == 1
    assert "no embedded cluster here" in status.stdout
    assert elearning("down", folder=tmp_path).stdout == "nothing was running\n"


def test_health(cluster: EmbeddedCluster) -> None:
    done = elearning("health", environment=cluster.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 7
    for word in ("total users", "total courses", "total enrollments", "total revenue", "documents"):
        assert word in done.stdout


def test_health_with_a_replica_killed_by_its_pid(cluster: EmbeddedCluster) -> None:
    replica = cluster.node("na-replica-1")
    replica.kill()
    try:
        done = elearning("health", environment=cluster.environment())
        plain = elearning("health", "--json", environment=cluster.environment())
    finally:
        replica.start()
    assert done.returncode == plain.returncode == 1
    assert done.stdout.count("✓") == 6
    assert done.stdout.count("✗") == 1
    report = json.loads(plain.stdout)
    assert [node["name"] for node in report["nodes"] if not node["ok"]] == ["na-replica-1"]


def test_migrate_prints_a_line_a_shard(cluster: EmbeddedCluster) -> None:
    done = elearning("migrate", environment=cluster.environment())
    assert done.returncode == 0
    assert re.findall(r"shard (\w+): at (\d+), nothing to do", done.stdout) == [
        ("na", "0002"),
        ("eu", "0002"),
        ("asia", "0002"),
    ]


def test_migrate_tells_of_a_shard_that_fails(cluster: EmbeddedCluster) -> None:
    environment = cluster.environment()
    environment["ELEARNING_SHARD_EU_OWNER"] = "postgresql+psycopg://o:s3cret@127.0.0.1:1/x"
    done = elearning("migrate", environment=environment)
    assert done.returncode == 1
    assert "shard eu:" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("nothing to do") == 2


def test_up_status_and_down(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    try:
        up = elearning("up", "--dir", str(folder))
        assert up.returncode == 0, up.stderr
        assert re.search(r"started .*na-primary.* in \d+\.\d s \(PostgreSQL 1\d", up.stdout)
        again = elearning("up", "--dir", str(folder))
        assert again.returncode == 0
        assert "already runs" in again.stdout
        status = elearning("status", "--dir", str(folder))
        assert (status.returncode, status.stdout.count("✓")) == (0, 7)
        # The settings are found without a variable, from the project's folder.
        there = {"ELEARNING_CLUSTER_DIR": str(folder)}
        assert elearning("migrate", folder=tmp_path, environment=there).returncode == 0
        assert elearning("health", folder=tmp_path, environment=there).returncode == 0
        EmbeddedCluster(folder).node("eu-replica-1").kill()
        down = elearning("status", "--dir", str(folder))
        assert (down.returncode, down.stdout.count("✗")) == (1, 1)
        mended = elearning("up", "--dir", str(folder))
        assert "started eu-replica-1 in" in mended.stdout
    finally:
        stopped = elearning("down", "--dir", str(folder))
        assert "na-primary" in stopped.stdout
        assert elearning("status", "--dir", str(folder)).returncode == 1
        deleted = elearning("down", "--dir", str(folder), "--delete")
    assert deleted.stdout == "nothing was running\nits data is deleted\n"
    assert "no embedded cluster here" in elearning("status", "--dir", str(folder)).stdout


def test_demo_shows_every_step() -> None:
    done = elearning("demo")
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
    assert "total enrollments:  12" in text
    assert "✗" not in text
    seconds = re.search(r"the whole demo took (\d+\.\d) s", text)
    assert seconds is not None


def test_demo_with_keep_runs_twice_and_leaves_the_servers(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    try:
        first = elearning("demo", "--keep", "--dir", str(folder))
        assert first.returncode == 0, first.stdout + first.stderr
        assert "the servers keep running" in first.stdout
        second = elearning("demo", "--keep", "--dir", str(folder))
        assert second.returncode == 0, second.stdout + second.stderr
        assert second.stdout.count("is here already") == 12
        assert elearning("status", "--dir", str(folder)).returncode == 0
    finally:
        elearning("down", "--delete", "--dir", str(folder))


def test_import_oulad(cluster: EmbeddedCluster, empty_databases: None, tmp_path: Path) -> None:
    for stem, lines in FILES.items():
        Dataset(tmp_path).write(stem, lines)
    done = elearning("import", "oulad", str(tmp_path), environment=cluster.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^enrollments: 6$", done.stdout, re.MULTILINE)
    assert "documents delivered to MongoDB: 6" in done.stdout
    # Brackets are not markup.
    missing = elearning("import", "oulad", "/no[/where]", environment=cluster.environment())
    assert missing.returncode == 1
    assert "/no[/where]" in missing.stderr
    assert "Traceback" not in missing.stderr


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300])
def test_up_where_no_folder_can_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    done = elearning("up", "--dir", str(tmp_path / place))
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
    assert (done.returncode, done.stdout) == (0, "documents delivered to MongoDB: 1\n")


@pytest.mark.parametrize("words", [("fly",), ("import", "moodle"), ("health", "--xml")])
def test_words_that_mean_nothing(words: tuple[str, ...]) -> None:
    done = elearning(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
