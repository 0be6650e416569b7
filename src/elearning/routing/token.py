"""Consistency tokens: what a reader must be able to see.

A token says, for each shard, up to which position of the write-ahead log its
holder has written. It is a short string, ``eu:1/3000148.na:1/2FF0018``, made to
travel in a cookie, a header or a job's payload: letters, digits and ``_:/.*``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from threading import Lock
from typing import NamedTuple, Self

from elearning.errors import InvalidText

__all__ = ["NOTHING", "UNKNOWN", "Position", "Token", "lsn_of"]

_PART = re.compile(r"([a-z][a-z0-9_]{0,30}):(?:([0-9A-F]{1,8})/([0-9A-F]{1,16})|\*)")


class Position(NamedTuple):
    """A position in a primary's log; positions of later timelines come later."""

    timeline: int
    lsn: int

    @property
    def sql_lsn(self) -> str:
        """The LSN as PostgreSQL writes it."""
        return f"{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}"

    @classmethod
    def from_sql(cls, walfile: str, lsn: str) -> Self:
        """Return the position of a WAL file's name (timeline) and an LSN."""
        return cls(int(walfile[:8], 16), lsn_of(lsn))


def lsn_of(text: str) -> int:
    """Return an LSN as a number, from PostgreSQL's way to write it."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


NOTHING = Position(0, 0)
"""Earlier than everything."""
UNKNOWN = Position(0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
"""Later than everything: only the primary will do."""


# Between looking and writing another thread might go farther. One for all: it takes no time.
_ADVANCING = Lock()


class Token(dict[str, Position]):
    """Positions by shard; they merge and never go back."""

    def advance(self, shard: str, position: Position) -> None:
        """Note that a position of a shard was written."""
        with _ADVANCING:
            if position > self.get(shard, NOTHING):
                self[shard] = position

    def merge(self, other: Mapping[str, Position]) -> None:
        """Take over what another token has seen."""
        for shard, position in other.items():
            self.advance(shard, position)

    def __str__(self) -> str:
        return ".".join(
            f"{shard}:*"
            if position == UNKNOWN
            else f"{shard}:{position.timeline:X}/{position.lsn:X}"
            for shard, position in sorted(self.items())
        )

    @classmethod
    def of(cls, value: object) -> Token:
        """Return a token as it is, a text as the token it says, and None as an empty one.

        Raises:
            InvalidText: nothing of the kind.
        """
        if isinstance(value, Token):
            return value
        if not value and (value is None or isinstance(value, str)):
            return cls()
        if isinstance(value, str):
            return cls.parse(value)
        raise InvalidText(field="token", problem=f"{type(value).__name__} is no consistency token")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token's text; the empty text is the empty token.

        Raises:
            InvalidText: not a token.
        """
        token = cls()
        for part in text.split(".") if text else ():
            match = _PART.fullmatch(part)
            if match is None:
                raise InvalidText(field="token", problem=f"{text[:80]!r} is no consistency token")
            shard, timeline, lsn = match.groups()
            token.advance(
                shard, UNKNOWN if timeline is None else Position(int(timeline, 16), int(lsn, 16))
            )
        return token
