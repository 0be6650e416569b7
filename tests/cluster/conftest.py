from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from elearning.cluster.embedded import (
    EmbeddedCluster,
    UpReport,
    ephemeral,
    ephemeral_cluster,
    places,
)
from tests.cluster.embedded_support import CommandLines


@pytest.fixture(scope="session")
def command_lines() -> CommandLines:
    """What `ps` could have shown while `embedded` was started."""
    return CommandLines()


@pytest.fixture(scope="session")
def cold_start() -> list[UpReport]:
    """What the first `up` of `embedded` reported, in a list of one."""
    return []


@pytest.fixture(scope="session")
def embedded(command_lines: CommandLines, cold_start: list[UpReport]) -> Iterator[EmbeddedCluster]:
    """One whole cluster for all tests of it; each leaves it running and complete."""
    command_lines.__enter__()
    with ephemeral_cluster() as cluster:
        command_lines.__exit__()
        assert cluster.last_up
        cold_start.append(cluster.last_up)
        yield cluster


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that every user can reach, in place of the system's."""
    folder = Path(tempfile.mkdtemp(prefix="elearning-test-"))
    folder.chmod(0o755)
    monkeypatch.setattr(places, "reachable_base", lambda *_, **__: folder)
    monkeypatch.setattr(ephemeral, "passing_base", lambda *_, **__: folder)
    yield folder
    shutil.rmtree(folder)
