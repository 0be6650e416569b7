"""Values that Python compares as PostgreSQL does."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from sqlalchemy import (
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Uuid,
    inspect,
)
from sqlalchemy.sql.elements import (
    BinaryExpression,
    ColumnClause,
    ColumnElement,
    FunctionFilter,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import collate
from sqlalchemy.types import TypeEngine

from elearning.errors import NotMergeable
from elearning.models import Base
from elearning.routing.fanout.functions import name_of
from elearning.routing.fanout.schema import place_of
from elearning.routing.fanout.screen import bare

__all__ = ["Kind", "comparable", "identity", "kind_of", "place_in_order"]


class Kind(Enum):
    """A family of types with one order."""

    BOOLEAN = auto()
    INTEGER = auto()
    DECIMAL = auto()
    FLOAT = auto()
    UUID = auto()
    MOMENT = auto()
    DATE = auto()
    BYTES = auto()
    TEXT = auto()
    """In the order of a collation, which Python does not know."""
    C_TEXT = auto()
    """In the order of the characters' numbers, which is that of their UTF-8 bytes."""
    OTHER = auto()


_KINDS: tuple[tuple[type[Any], Kind], ...] = (
    (Boolean, Kind.BOOLEAN),
    (Integer, Kind.INTEGER),
    (Float, Kind.FLOAT),
    (Numeric, Kind.DECIMAL),
    (Uuid, Kind.UUID),
    (DateTime, Kind.MOMENT),
    (Date, Kind.DATE),
    (LargeBinary, Kind.BYTES),
    (String, Kind.TEXT),
)


def kind_of(element: ColumnElement[Any]) -> Kind:
    """Return the kind of an expression's values."""
    element = bare(element)
    if isinstance(element, FunctionFilter):
        element = element.func
    if isinstance(element, ColumnClause) and element.is_literal:
        return Kind.OTHER  # in ORDER BY and GROUP BY a number means a position
    if isinstance(element, FunctionElement) and name_of(element) == "avg":
        argument = next(iter(element.clauses), None)
        known = argument is not None and kind_of(argument)
        return Kind.DECIMAL if known in {Kind.INTEGER, Kind.DECIMAL} else Kind.OTHER
    if isinstance(element, BinaryExpression) and element.operator is collate:
        return Kind.C_TEXT if getattr(element.right, "collation", None) == "C" else Kind.TEXT
    # Only what a column itself declares: a type that is put on an expression sorts nothing.
    return _of_type(element.type, sorts=place_of(element) is not None)


def _of_type(type_: TypeEngine[Any], *, sorts: bool) -> Kind:
    kind = next((kind for cls, kind in _KINDS if isinstance(type_, cls)), Kind.OTHER)
    if kind is Kind.DECIMAL and not getattr(type_, "asdecimal", True):
        return Kind.FLOAT
    if kind is Kind.TEXT and sorts and getattr(type_, "collation", None) == "C":
        return Kind.C_TEXT
    return kind


def comparable(element: ColumnElement[Any], what: str) -> Kind:
    """Return the kind of an expression whose values are to be put in order.

    Args:
        element: the expression.
        what: what it is to be used for, such as "ORDER BY".

    Raises:
        NotMergeable: Python does not know the order of its values.
    """
    kind = kind_of(element)
    if kind is Kind.TEXT:
        raise NotMergeable(
            reason=f"{what} a text follows a collation of the database, which only the database "
            'knows; add .collate("C") to order by the characters\' numbers'
        )
    if kind is Kind.OTHER:
        raise NotMergeable(
            reason=f"{what} the type {element.type!r} is not known to order alike in Python; "
            "give a function its type_, or cast"
        )
    return kind


def place_in_order(value: Any, *, nulls: int) -> tuple[Any, ...]:
    """Return a key to sort by: NULLs where they belong, and NaN above all numbers.

    Args:
        value: of a comparable kind, or None.
        nulls: 1: NULLs come last in an ascending order; -1: first.
    """
    if value is None:
        return (nulls,)
    if _is_nan(value):
        return (0, 1)
    return (0, 0, value)


def identity(value: object) -> object:
    """Return what tells equal values from others: NaN is equal to NaN, a row to its copies."""
    if isinstance(value, Base):
        return inspect(value).key
    return _NAN if _is_nan(value) else value


_NAN = object()


def _is_nan(value: object) -> bool:
    # Nothing else differs from itself.
    return bool(value != value)  # noqa: PLR0124
