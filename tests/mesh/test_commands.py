"""The commands that arrange the copies, as an operator runs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from elearning.cli import main
from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from tests.mesh.support import rows
from tests.migrations.support import ROOT, Done

Run = Callable[..., Done]

WITHOUT = {f"ELEARNING_SHARD_{name}_REPLICATION": "" for name in ("NA", "EU", "ASIA")}
FORGET = "COMMENT ON SUBSCRIPTION elearning_from_eu IS ''"


@pytest.fixture
def run(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    def run(*words: str, **values: str) -> Done:
        for name, value in (cluster.environment() | values).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["elearning", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run


def test_reconcile(run: Run, settings: Settings) -> None:
    rows(settings, "na", FORGET)
    first, second = run("reconcile"), run("reconcile")
    assert (first.code, second.code) == (0, 0)
    assert "✓ eu → na: copied: made with no note of ours" in first.out
    assert second.out.count("nothing to do") == 6
    alone = run("reconcile", **WITHOUT)
    assert alone.code == 1
    assert "ELEARNING_SHARD_EU_REPLICATION" in alone.err


def test_migrate_mends_the_copies(run: Run, settings: Settings) -> None:
    quiet = run("migrate")
    assert quiet.code == 0
    assert "→" not in quiet.out
    rows(settings, "na", FORGET)
    one = run("migrate", "--shard", "asia")
    assert (one.code, one.out.count("copied")) == (0, 1)
    skipped = run("migrate", **WITHOUT)
    assert skipped.code == 0
    assert "courses are not copied between the shards" in skipped.err
    some = run("migrate", ELEARNING_SHARD_EU_REPLICATION="")
    assert some.code == 1
    assert "ELEARNING_SHARD_EU_REPLICATION: is not set" in some.err


def test_a_problem_with_copies_fails_a_migration(run: Run, settings: Settings) -> None:
    url = settings.shard("eu").replication
    assert url is not None
    wrong = url.set(password="wrong").render_as_string(hide_password=False)
    failed = run("migrate", ELEARNING_SHARD_EU_REPLICATION=wrong)
    assert failed.code == 1
    assert "password authentication failed" in failed.out
    assert 'user "elearning_replicator"' in failed.out


def test_alembic_mends_the_copies(cluster: EmbeddedCluster, settings: Settings) -> None:
    rows(settings, "na", FORGET)
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env=cluster.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "eu to na: copied: made with no note of ours" in done.stdout
