from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elearning.errors import InvalidEmail, InvalidText
from elearning.text import checked_text, normalize_email


@pytest.mark.parametrize(
    ("given_address", "stored"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("  a.b+c@x-y.example.org ", "a.b+c@x-y.example.org"),
        ("o'brien@example.net", "o'brien@example.net"),
        ("jörg@bücher.example", "jörg@bücher.example"),
        ("a@b.co", "a@b.co"),
    ],
)
def test_addresses_are_normalized_once(given_address: str, stored: str) -> None:
    assert normalize_email(given_address) == stored
    assert normalize_email(stored) == stored


@pytest.mark.parametrize(
    "address",
    [
        "",
        "   ",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "a b@example.com",
        "ada@@example.com",
        "ada@exa mple.com",
        "ada@-example.com",
        "ada@example.com\x00",
        "ada@example.com\nbcc: x@y.z",
        "<ada@example.com>",
        "a" * 65 + "@example.com",
        "ada@" + "x" * 250 + ".com",
        None,
        7,
    ],
)
def test_malformed_addresses(address: str) -> None:
    with pytest.raises(InvalidEmail, match=r"expected name@domain"):
        normalize_email(address)


@given(st.text(max_size=300))
def test_whatever_passes_is_stable_and_fits_the_column(address: str) -> None:
    try:
        stored = normalize_email(address)
    except InvalidEmail:
        return
    assert normalize_email(stored) == stored
    assert len(stored) <= 254
    # The CHECK of users.email.
    assert re.fullmatch(r"[^@\sA-Z]+@[^@\sA-Z]+", stored)


def test_texts_are_trimmed() -> None:
    assert checked_text("title", "  x ", most=1) == "x"


@pytest.mark.parametrize("value", ["", "   ", "x" * 11, "a\x00b", "\ud800", 5, None, b"x"])
def test_texts_that_are_refused(value: str) -> None:
    with pytest.raises(InvalidText, match=r"^title: "):
        checked_text("title", value, most=10)
