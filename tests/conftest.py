"""All tests run on one real cluster: three primaries, three replicas, MongoDB."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import settings as chance

from elearning.config import Settings
from tests.campaigns.conftest import FULL
from tests.snapshots import Snapshot

pytest_plugins = ["elearning.testing.plugin"]

# What `make test` tries is the same each time; `make chaos` tries other things.
chance.register_profile("repeatable", derandomize=True, database=None, deadline=None)
if not FULL:
    chance.load_profile("repeatable")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Measure no coverage of the very last teardown.

    There, greenlets are collected that asyncio has left, and coverage's tracer, which keeps them
    in a weak dictionary, was seen to trace the dictionary's own cleaning without end.
    """
    if nextitem is None:
        sys.settrace(None)


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_numbers: dict[str, str] = {}


def pytest_make_parametrize_id(val: object) -> str | None:
    """Number the ids in the names of tests: made anew in each process, they have to be alike.

    Of what is no string pytest takes the parameter's name and number, never its value: a set of
    ids has another order in each process.
    """
    if not isinstance(val, str) or not _UUID.search(val):
        return None
    return _UUID.sub(lambda each: _numbers.setdefault(each[0], f"id{len(_numbers)}"), val)


@pytest.fixture
def snapshot(settings: Settings) -> Snapshot:
    return Snapshot(settings)


@pytest.fixture(scope="session")
def oulad_folder() -> Path:
    folder = DATA / "oulad_sample"
    if not folder.is_dir():
        pytest.skip(f"the OULAD sample is not at {folder}")
    return folder
