from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text

from elearning.errors import InvalidAmount, UnknownCurrency
from elearning.money import MAX_MINOR, from_minor, minor_digits, tax_on, to_minor
from elearning.routing import Engines

minors = st.integers(0, MAX_MINOR)
currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLP", "TND", "XOF"])


@given(minors, currencies)
def test_minor_and_back(minor: int, currency: str) -> None:
    assert to_minor(from_minor(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("9.99", "EUR", 999),
        (5, "EUR", 500),
        (Decimal(0), "USD", 0),
        ("1200", "JPY", 1200),
        ("1.234", "KWD", 1234),
        ("1E+2", "EUR", 10000),
    ],
)
def test_to_minor(amount: Decimal | int | str, currency: str, minor: int) -> None:
    assert to_minor(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "problem"),
    [
        (-1, "is negative"),
        ("-0.01", "is negative"),
        ("0.001", "more than 2 decimals of EUR"),
        ("NaN", "not finite"),
        ("Infinity", "not finite"),
        ("1E+999999", "is above"),
        (MAX_MINOR, "is above"),
        ("ten", "not a number"),
        ("", "not a number"),
        (0.1, "is a float"),
        (None, "not a number"),
        (True, "not a number"),
        ((0, (1,), 0), "not a number"),
        pytest.param(10**6000, "is above", id="huge"),
        pytest.param(-(10**6000), "is negative", id="hugely negative"),
        ("1.00000000000000000000000000000000000001", "more than 2 decimals"),
        ("0.999999999999999999999999999999999", "more than 2 decimals"),
        ("0." + "0" * 200 + "1", "more than 2 decimals"),
        # Written out they would take gigabytes, and minutes.
        ("1E-999999999", "more than 2 decimals"),
        (Decimal("0E-999999999"), "more than 2 decimals"),
    ],
)
def test_amounts_that_are_refused(amount: str, problem: str) -> None:
    with pytest.raises(InvalidAmount, match=problem):
        to_minor(amount, "EUR")


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XXX", "E R", "ZZZ", None])
def test_unknown_currency(currency: str) -> None:
    with pytest.raises(UnknownCurrency, match="ISO 4217"):
        to_minor(1, currency)


def test_digits_follow_iso_4217() -> None:
    assert [minor_digits(code) for code in ("EUR", "JPY", "TND")] == [2, 0, 3]


@given(minors)
def test_tax_is_ten_percent_half_up(minor: int) -> None:
    assert tax_on(minor) == int((Decimal(minor) / 10).to_integral_value(ROUND_HALF_UP))


@hypothesis_settings(max_examples=200, deadline=None)
@given(minors)
def test_sql_computes_the_same_tax(engines: Engines, minor: int) -> None:
    # The expression stands in complete_transaction.
    with engines.primary("na").engine.connect() as connection:
        found = connection.scalar(text("SELECT round(CAST(:m AS bigint) * 0.10)"), {"m": minor})
    assert found == tax_on(minor)
