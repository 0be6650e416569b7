"""Campaigns: long runs under random faults. `make test` runs a short form, `make chaos` all."""

from __future__ import annotations

import os

import pytest

FULL = os.environ.get("ELEARNING_CHAOS") == "full"


@pytest.fixture
def seed() -> int:
    """Return the seed; ELEARNING_CHAOS_SEED repeats a run."""
    return int(os.environ.get("ELEARNING_CHAOS_SEED", "20261125"))
