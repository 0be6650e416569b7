"""2,040 statements made by chance, on three shards and on one database; `make test` runs 510."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Engine

from elearning.routing import Engines
from tests.campaigns.conftest import FULL
from tests.routing.fanout.comparing import agree
from tests.routing.fanout.queries import Query, distinct, grouped, rows, totals

# The engines' own threads shuffle replicas meanwhile.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

SHARE = 1 if FULL else 4
"""`make test` runs the first quarter."""

chosen = settings(
    # The same ones in each run: what fails here fails everywhere.
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def compare(engines: Engines, one: Engine, query: Query) -> None:
    agree(engines, one, query.statement, ordered=query.ordered, total=query.total)


@settings(chosen, max_examples=400 // SHARE)
@given(query=rows())
def test_rows(engines: Engines, world: Engine, query: Query) -> None:
    compare(engines, world, query)


@settings(chosen, max_examples=280 // SHARE)
@given(query=grouped())
def test_groups(engines: Engines, world: Engine, query: Query) -> None:
    compare(engines, world, query)


@settings(chosen, max_examples=190 // SHARE)
@given(query=totals())
def test_totals(engines: Engines, world: Engine, query: Query) -> None:
    compare(engines, world, query)


@settings(chosen, max_examples=150 // SHARE)
@given(query=distinct())
def test_distinct(engines: Engines, world: Engine, query: Query) -> None:
    compare(engines, world, query)
