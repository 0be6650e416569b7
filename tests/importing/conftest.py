"""An empty home shard of europe, and a data set to import into it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from elearning.routing import Engines
from tests.importing.dataset import FILES, Dataset


@pytest.fixture
def shard_engine(engines: Engines, empty_databases: None) -> Engine:
    return engines.primary(engines.home("europe")).engine


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = Dataset(tmp_path / "oulad")
    made.folder.mkdir()
    for stem, lines in FILES.items():
        made.write(stem, lines)
    return made
