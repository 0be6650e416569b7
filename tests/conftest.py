"""All tests run on one real cluster: three primaries, three replicas, MongoDB."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings as chance

from elearning.config import Settings
from tests.campaigns.conftest import FULL
from tests.children import end_server
from tests.snapshots import Snapshot

pytest_plugins = ["elearning.testing.plugin"]

# What `make test` tries is the same each time; `make chaos` tries other things.
chance.register_profile("repeatable", derandomize=True, database=None, deadline=None)
if not FULL:
    chance.load_profile("repeatable")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage in what tries a lot by chance, or where other tests run the same lines.

    The tracer more than doubles the time that Python takes.
    """
    if sys.gettrace() is None or not _is_unmeasured(item):
        return (yield)
    tracers, children = (sys.gettrace(), threading.gettrace()), os.environ.pop(_OF_CHILDREN, None)
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        if children is not None:
            os.environ[_OF_CHILDREN] = children
        threading.settrace(tracers[1])
        sys.settrace(tracers[0])
        _nothing()


_OF_CHILDREN = "COVERAGE_PROCESS_CONFIG"
_HERE = Path(__file__).parent
_SAME_LINES = tuple(
    str(_HERE / name)
    for name in [
        "campaigns/",
        "models/",
        "cluster/test_embedded_databases",
        "cluster/test_embedded_failover",
        "cluster/test_health",
        "crud/test_course_search_text",
        "crud/test_isolation",
        "crud/test_lesson_order_at_once",
        "crud/test_listing",
        "crud/test_many_endings",
        "crud/test_user_tokens",
        "flows/test_enrollment_window",
        "flows/test_progress",
        "importing/test_oulad",
        "importing/test_rows",
        "importing/test_statistics",
        "mesh/test_copies",
        "migrations/test_claims",
        "migrations/test_failures",
        "migrations/test_wrong_database",
        "routing/fanout/test_division",
        "routing/fanout/test_merging",
        "routing/test_failover",
        "routing/test_loading",
        "routing/test_loss_of_primaries",
        "routing/test_pitfalls",
        "routing/test_processes",
        "routing/test_token",
        "test_certificate_code",
        "test_docs",
        "test_money",
        "testing/test_factories",
        "testing/test_page",
    ]
)
"""Less than one line in a hundred was run by all of these alone, when contexts were recorded."""


def _is_unmeasured(item: pytest.Item) -> bool:
    return item.get_closest_marker("unmeasured") is not None or str(item.path).startswith(
        _SAME_LINES
    )


def _nothing() -> None:
    """Let a tracer in C begin: with a call.

    That one returns, and so does the function that calls it: the tracer, which has seen the call
    of the beginning but no return of it, is even again.
    """


def pytest_sessionfinish() -> None:
    """Leave no process behind that is still writing what it measured."""
    end_server()


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
