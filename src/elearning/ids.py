"""Ids that know their region: UUIDs of version 8 (RFC 9562, section 5.8).

======  ====================================================
bytes   content
======  ====================================================
0-5     Unix time in milliseconds, big-endian
6       version 8 (high four bits), four random bits
7       region code, 1 to 6
8-15    variant (two bits), 62 random bits
======  ====================================================

The SQL functions ``new_id`` and ``region_code_of`` do the same in the database.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID

from elearning.errors import InvalidId, UnknownRegion
from elearning.regions import Region

__all__ = ["created_at_of", "new_id", "parse_id", "region_of"]

_VERSION = 0x8 << 76
_VARIANT = 0x2 << 62
_FIXED = 0xF << 76 | 0x3 << 62


def new_id(region: Region | str) -> UUID:
    """Make an id for a row whose home is in this region.

    Raises:
        UnknownRegion: no region has this name.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(66)
    return UUID(
        int=milliseconds << 80
        | _VERSION
        | (random >> 62) << 72
        | Region.parse(region).code << 64
        | _VARIANT
        | random & (1 << 62) - 1
    )


def region_of(id: UUID) -> Region:  # noqa: A002 - the word of the domain
    """Return the home region that an id carries.

    Raises:
        InvalidId: the UUID was not made by ``new_id``.
    """
    number = id.int
    # UUID.version takes longer than all the rest here.
    if number & _FIXED == _VERSION | _VARIANT:
        try:
            return Region.from_code(number >> 64 & 0xFF)
        except UnknownRegion:
            pass
    raise InvalidId(id=id)


def parse_id(value: UUID | str) -> UUID:
    """Return a text as an id, checked.

    Raises:
        InvalidId: not a UUID, or one that carries no region.
    """
    if isinstance(value, UUID):
        result = value
    else:
        try:
            result = UUID(value)
        except (ValueError, TypeError, AttributeError):
            raise InvalidId(id=repr(value)) from None
    region_of(result)
    return result


def created_at_of(id: UUID) -> datetime:  # noqa: A002 - the word of the domain
    """Return the moment an id was made (UTC, milliseconds)."""
    region_of(id)
    return datetime.fromtimestamp((id.int >> 80) / 1000, tz=UTC)
