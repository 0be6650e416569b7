"""Parsers of one field: a text becomes a value, or an InvalidText that says why not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from elearning.errors import InvalidText

__all__ = ["Parser", "Value", "label", "matching", "one_of", "optional", "whole"]

Value: TypeAlias = int | str | None
Parser: TypeAlias = Callable[[str], Value]

MISSING = frozenset({"", "?"})
"""How the published copies of the data set write a value that is not known."""

# Days and weeks are doubles in one published copy: 19.0 is 19. ASCII digits only.
_WHOLE = re.compile(r"(-?[0-9]{1,10})(?:\.0{1,3})?")
_SHOWN = 40


def whole(low: int, high: int) -> Parser:
    """Return a parser of whole numbers in a range, both ends included."""

    def parse(text: str) -> int:
        match = _WHOLE.fullmatch(text)
        if match is None:
            raise _unfit(text, "a whole number")
        value = int(match[1])
        if not low <= value <= high:
            raise _unfit(text, f"{low} to {high}")
        return value

    return parse


def one_of(*known: str) -> Parser:
    """Return a parser that knows these words only."""
    words = frozenset(known)

    def parse(text: str) -> str:
        if text not in words:
            raise _unfit(text, f"one of {', '.join(known)}")
        return text

    return parse


def matching(pattern: str, what: str) -> Parser:
    """Return a parser of texts that a regular expression describes in full."""
    expression = re.compile(pattern)

    def parse(text: str) -> str:
        if expression.fullmatch(text) is None:
            raise _unfit(text, what)
        return text

    return parse


def label(longest: int) -> Parser:
    """Return a parser of names: printable, not blank, not too long."""

    def parse(text: str) -> str:
        if not text.strip() or not text.isprintable() or len(text) > longest:
            raise _unfit(text, f"1 to {longest} printable characters")
        return text

    return parse


def optional(parser: Parser) -> Parser:
    """Return a parser that takes a missing value as None."""

    def parse(text: str) -> Value:
        return None if text in MISSING else parser(text)

    return parse


def _unfit(text: str, expected: str) -> InvalidText:
    return InvalidText(field="value", problem=f"is {text[:_SHOWN]!r}, expected {expected}")
