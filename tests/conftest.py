"""All tests run on one real cluster: three primaries, three replicas, MongoDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from elearning.config import Settings
from tests.snapshots import Snapshot

pytest_plugins = ["elearning.testing.plugin"]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def snapshot(settings: Settings) -> Snapshot:
    return Snapshot(settings)


@pytest.fixture(scope="session")
def oulad_folder() -> Path:
    folder = DATA / "oulad_sample"
    if not folder.is_dir():
        pytest.skip(f"the OULAD sample is not at {folder}")
    return folder
