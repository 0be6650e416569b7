from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elearning.errors import InvalidText
from elearning.routing import Position, Token
from elearning.routing.token import UNKNOWN

shards = st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True)
positions = st.builds(Position, st.integers(1, 2**32 - 2), st.integers(0, 2**64 - 1)) | st.just(
    UNKNOWN
)
tokens = st.dictionaries(shards, positions, max_size=5).map(Token)


@given(tokens)
def test_a_token_travels_as_a_text(token: Token) -> None:
    text = str(token)
    assert Token.parse(text) == token
    # Fit for a cookie and a header without quoting.
    assert re.fullmatch(r"[A-Za-z0-9_:/.*]*", text)


@given(tokens, tokens)
def test_tokens_merge_and_never_go_back(one: Token, other: Token) -> None:
    merged = Token(one)
    merged.merge(other)
    for shard in {*one, *other}:
        assert merged[shard] == max(t[shard] for t in (one, other) if shard in t)
    reverse = Token(other)
    reverse.merge(one)
    assert merged == reverse


@pytest.mark.parametrize(
    "text", ["x", "eu:", "eu:1", "eu:1/", "eu:1/g", "EU:1/1", "eu:1/1,na:1/1", "eu:1/1.", "." * 200]
)
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(InvalidText, match="no consistency token"):
        Token.parse(text)


def test_what_a_session_takes_for_a_token() -> None:
    token = Token(eu=Position(1, 2))
    assert Token.of(token) is token
    assert Token.of(str(token)) == token
    assert Token.of(None) == Token.of("") == {}
    with pytest.raises(InvalidText, match="int is no consistency token"):
        Token.of(5)


def test_a_position_reads_what_postgresql_writes() -> None:
    position = Position.from_sql("0000000200000003000000FF", "3/FF000148")
    assert position == Position(2, 0x3FF000148)
    assert position.sql_lsn == "3/FF000148"
