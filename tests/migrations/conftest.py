from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from elearning.cli import main
from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import migrate
from elearning.config import Settings, Shard
from tests.migrations.support import Done, Elearning, database, databases, variables


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


@pytest.fixture
def grown(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Settings]:
    """Settings of the whole cluster with one more shard, an empty database without regions."""
    with database(cluster, "asia", "new"):
        there = settings.shard("asia")
        new = Shard(
            "new",
            (),
            there.primary.set(database="new"),
            owner=there.owner_url.set(database="new"),
        )
        yield replace(settings, shards=(*settings.shards, new))


@pytest.fixture
def elearning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Elearning:
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
