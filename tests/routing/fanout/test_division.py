"""Averages, digit by digit as the server computes them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from elearning.errors import NotMergeable
from elearning.routing import Engines
from elearning.routing.fanout.aggregates import _sum
from elearning.routing.fanout.division import EXACT, average

AVERAGE = text("SELECT avg(x) FROM unnest(CAST(:values AS numeric[])) AS x")
DIVISION = text("SELECT CAST(:total AS numeric) / CAST(:count AS numeric)")

numbers = st.builds(
    lambda digits, scale: Decimal(digits).scaleb(-scale, context=EXACT),
    st.one_of(st.integers(-99, 99), st.integers(-(10**30), 10**30)),
    st.integers(0, 20),
)


@pytest.fixture(scope="module")
def server(engines: Engines) -> Iterator[Connection]:
    with engines.primary("eu").engine.connect() as connection:
        yield connection


@given(values=st.lists(numbers, min_size=1, max_size=20))
@settings(max_examples=300, derandomize=True, deadline=None, database=None)
def test_averages(server: Connection, values: list[Decimal]) -> None:
    expected = server.scalar(AVERAGE, {"values": values})
    assert str(average(_sum(values), len(values))) == str(expected)


@given(total=numbers, count=st.one_of(st.integers(1, 99), st.integers(1, 2**63 - 1)))
@settings(max_examples=700, derandomize=True, deadline=None, database=None)
def test_division(server: Connection, total: Decimal, count: int) -> None:
    expected = server.scalar(DIVISION, {"total": total, "count": Decimal(count)})
    assert str(average(total, count)) == str(expected)


@pytest.mark.parametrize("total", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_finite(server: Connection, total: str) -> None:
    expected = server.scalar(AVERAGE, {"values": [Decimal(total), Decimal(1)]})
    assert str(average(_sum([Decimal(total), 1]), 2)) == str(expected)


def test_infinities_that_cancel(server: Connection) -> None:
    values = [Decimal("Infinity"), Decimal("-Infinity")]
    assert str(_sum(values)) == str(server.scalar(AVERAGE, {"values": values})) == "NaN"


def test_a_sum_that_is_no_exact_number() -> None:
    with pytest.raises(NotMergeable, match="a sum is a float"):
        _sum([1, 0.5])
