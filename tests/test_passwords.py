"""Passwords: what may be one, how it is hashed, and that each comparison is the same work."""

from __future__ import annotations

from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type
from argon2.profiles import RFC_9106_LOW_MEMORY
from hypothesis import given
from hypothesis import strategies as st

from elearning import passwords
from elearning.errors import InvalidPassword
from elearning.passwords import check_password, hash_password, renewed_hash, verify_password

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
RIGHT = "correct horse battery staple"


def test_a_hash_is_one_of_argon2id_with_the_parameters_of_rfc_9106() -> None:
    first, second = hash_password(RIGHT), hash_password(RIGHT)
    assert first != second, "each has its own salt"
    assert extract_parameters(first) == RFC_9106_LOW_MEMORY
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert verify_password(RIGHT, first)
    assert not verify_password(RIGHT + " ", first)
    assert renewed_hash(RIGHT, first) is None


def test_nobody_has_a_hash_of_the_same_parameters_that_no_password_is_right_for() -> None:
    assert extract_parameters(passwords._NOBODYS) == RFC_9106_LOW_MEMORY
    assert passwords._HASHER.type is Type.ID
    assert not verify_password(RIGHT, None)


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("seven c", "has 7 characters, expected 8 to 1024"),
        ("", "has 0 characters"),
        ("x" * 1_025, "has 1025 characters"),
        ("secret\x00word", "holds a NUL character"),
        ("secret\ud800word", "holds half a surrogate pair"),
        (b"secretword", "is bytes, expected a text"),
        (None, "is NoneType"),
        (12345678, "is int"),
    ],
)
def test_what_is_no_password(password: Any, problem: str) -> None:
    for check in (check_password, hash_password):
        with pytest.raises(InvalidPassword, match=problem) as caught:
            check(password)
        told = str(caught.value) + repr(caught.value) + repr(caught.value.values)
        assert not password or str(password) not in told
        # The codec's own error shows what it could not encode.
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "password", ["x" * 8, "x" * 1_024, " 12345 6", "пароль, ", "🐎" * 8, "\x01" * 9]
)
def test_what_is_one(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    assert verify_password(password, hash_password(password))


def test_letters_that_are_typed_differently_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    composed, decomposed = "caf\u00e9 cr\u00e8me", "cafe\u0301 cre\u0300me"
    assert verify_password(decomposed, hash_password(composed))
    assert not verify_password("cafe creme", hash_password(composed))


@given(st.text(max_size=1_100), st.text(max_size=30))
def test_any_text_is_hashed_or_refused(text: str, other: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", CHEAP)
        try:
            made = hash_password(text)
        except InvalidPassword as error:
            assert len(text) < 4 or text not in str(error)  # noqa: PT017 - some are refused
            return
        assert text not in made
        assert verify_password(text, made)
        try:
            differs = passwords._bytes_of(text) != passwords._bytes_of(other)
        except InvalidPassword:
            return
        assert verify_password(other, made) is not differs


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "$2b$12$WApznUPhDubN0oeveSXHp.Rk0rMQ8Kuy0mH1FhGVvLxMw8RBdpNlK",
        "$argon2id$v=19$m=65536,t=3,p=4$broken",
        "$argon2id$ünlesbar",
    ],
)
def test_without_a_usable_hash_the_answer_is_no_after_the_same_work(
    monkeypatch: pytest.MonkeyPatch, stored: str | None
) -> None:
    seen: list[object] = []
    verify = PasswordHasher.verify

    def note(hasher: PasswordHasher, stored: str, password: bytes) -> bool:
        seen.append(stored)
        return verify(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", note)
    assert not verify_password(RIGHT, stored)
    # What cannot be read is refused at once; what is compared in its place takes as long as any.
    assert seen[-1] == passwords._NOBODYS
    assert seen[:-1] in ([], [stored])


def test_a_hash_of_other_parameters_is_right_and_made_anew() -> None:
    former = CHEAP.hash(RIGHT)
    assert verify_password(RIGHT, former)
    renewed = renewed_hash(RIGHT, former)
    assert renewed is not None
    assert extract_parameters(renewed) == RFC_9106_LOW_MEMORY
    assert verify_password(RIGHT, renewed)


def test_a_password_from_before_the_rules_is_right_and_made_anew() -> None:
    assert verify_password("short", CHEAP.hash("short"))
    assert renewed_hash("short", CHEAP.hash("short")) is not None


def test_what_is_too_long_is_not_compared() -> None:
    with pytest.raises(InvalidPassword, match="has 1000000 characters"):
        verify_password("x" * 1_000_000, None)
