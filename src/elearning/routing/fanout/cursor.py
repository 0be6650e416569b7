"""Page cursors: where the next page begins, as a short text that goes into a URL.

A cursor holds the values of the last row's order keys and a digest of them and of the
order, so that one of another order is noticed, and so is a slip of the pen. It is
neither secret nor signed; its values are parameters and never SQL.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any
from uuid import UUID

from sqlalchemy.dialects import postgresql

from elearning.errors import InvalidPage
from elearning.routing.fanout.kinds import Kind
from elearning.routing.fanout.order import OrderKey

__all__ = ["name_of", "read_cursor", "write_cursor"]

_LONGEST = 8192
_MOST_DIGITS = 10_000  # of a number, before or after the point; PostgreSQL has 16,383
_DIGEST = 9  # bytes; a multiple of three needs no padding

_WRITTEN: dict[Kind, Callable[[Any], object]] = {
    Kind.BOOLEAN: bool,
    Kind.BYTES: bytes.hex,
    Kind.C_TEXT: str,
    Kind.DATE: date.isoformat,
    Kind.DECIMAL: str,
    Kind.INTEGER: int,
    Kind.MOMENT: datetime.isoformat,
    Kind.UUID: lambda value: value.hex,
}


def _integer(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError
    return value


def _decimal(value: Any) -> Decimal:
    number = Decimal(value)
    if number.is_snan() or abs(number.adjusted()) > _MOST_DIGITS:
        raise ValueError
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()  # half a surrogate pair is no text to PostgreSQL
    return value


_READ: dict[Kind, Callable[[Any], object]] = {
    Kind.BOOLEAN: bool,
    Kind.BYTES: bytes.fromhex,
    Kind.C_TEXT: _text,
    Kind.DATE: date.fromisoformat,
    Kind.DECIMAL: _decimal,
    Kind.INTEGER: _integer,
    Kind.MOMENT: datetime.fromisoformat,
    Kind.UUID: UUID,
}


def write_cursor(keys: Sequence[OrderKey], values: Sequence[Any], name: bytes) -> str:
    """Return the cursor for what comes after a row.

    Args:
        keys: the order.
        values: the row's values of these keys.
        name: of the order.
    """
    written = [
        None if value is None else _WRITTEN[key.kind](value)
        for key, value in zip(keys, values, strict=True)
    ]
    body = json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()
    return urlsafe_b64encode(_digest(name, body) + body).rstrip(b"=").decode()


def read_cursor(keys: Sequence[OrderKey], cursor: object, name: bytes) -> list[Any]:
    """Return the values that a cursor holds.

    Args:
        keys: the order that it must be of.
        cursor: what the page before gave out.
        name: of the order.

    Raises:
        InvalidPage: it is none, or of another order.
    """
    if not isinstance(cursor, str) or not 0 < len(cursor) <= _LONGEST:
        raise InvalidPage(problem="is none")
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise InvalidPage(problem="is none") from None
    body = raw[_DIGEST:]
    # Read back to front: other texts decode to the same bytes.
    same = urlsafe_b64encode(raw).rstrip(b"=").decode() == cursor
    if not same or raw[:_DIGEST] != _digest(name, body):
        raise InvalidPage(problem="is damaged, or of a statement with another order")
    try:
        return [
            None if value is None else _READ[key.kind](value)
            for key, value in zip(keys, json.loads(body), strict=True)
        ]
    except (AttributeError, InvalidOperation, RecursionError, TypeError, ValueError):
        raise InvalidPage(problem="holds other values than the order") from None


def name_of(keys: Sequence[OrderKey]) -> bytes:
    """Return what tells an order from others."""
    order = []
    for key in keys:
        compiled = key.element.compile(dialect=postgresql.dialect())
        values = sorted((name, repr(value)) for name, value in compiled.params.items())
        order.append((str(compiled), values, key.kind.name, key.descending, key.nulls_first))
    return repr(order).encode()


def _digest(name: bytes, body: bytes) -> bytes:
    return blake2b(name + body, digest_size=_DIGEST).digest()
