"""What may stand in a statement that several shards answer, each by itself.

Only what is positively known to give the same on every shard as on one database: no
text, no clocks, no random numbers, nothing that depends on a server's time zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Select
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    Case,
    ClauseElement,
    ClauseList,
    CollationClause,
    ColumnClause,
    ColumnElement,
    FunctionFilter,
    Grouping,
    Label,
    Over,
    TextClause,
    TypeClause,
    TypeCoerce,
    UnaryExpression,
    WithinGroup,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import distinct_op
from sqlalchemy.sql.selectable import SelectBase

from elearning.errors import NotMergeable
from elearning.routing.fanout.functions import AGGREGATES, check_function, name_of
from elearning.routing.fanout.zones import check_zones

__all__ = [
    "aggregates_in",
    "bare",
    "check_elements",
    "inside",
    "is_distinct",
    "windows_in",
]

_ELEMENTS = (
    BinaryExpression,
    BindParameter,
    Case,
    ClauseList,
    CollationClause,
    ColumnElement,
    TypeClause,
)


def bare(element: Any) -> Any:
    """Return the expression behind labels and parentheses."""
    while isinstance(element, Label | Grouping):
        element = element.element
    return element


def inside(element: ClauseElement) -> Iterator[ClauseElement]:
    """Return an expression with all its parts; of a subquery only itself."""
    yield element
    if not isinstance(element, SelectBase):
        for child in _children(element):
            yield from inside(child)


def _children(element: ClauseElement) -> Iterator[ClauseElement]:
    for child in element.get_children():
        if isinstance(child, ClauseElement):
            yield child


def aggregates_in(element: ClauseElement) -> list[ColumnElement[Any]]:
    """Return the outermost aggregates of an expression, those over windows aside."""
    if isinstance(element, FunctionFilter | WithinGroup):
        return [element]
    if isinstance(element, FunctionElement) and name_of(element) in AGGREGATES:
        return [element]
    if isinstance(element, Over | SelectBase):
        return []
    return [found for child in _children(element) for found in aggregates_in(child)]


def windows_in(element: ClauseElement) -> list[Over[Any]]:
    """Return the window functions of an expression."""
    return [part for part in inside(element) if isinstance(part, Over)]


def check_elements(
    element: ClauseElement,
    parameters: Mapping[str, Any],
    subquery: Callable[[Select[Any]], None],
) -> None:
    """Check all parts of an expression.

    Args:
        element: the expression.
        parameters: the values of its parameters.
        subquery: is called with each subquery.

    Raises:
        NotMergeable: a part is not known to give the same everywhere.
    """
    for part in inside(element):
        if isinstance(part, SelectBase):
            for each in _selects(part):
                subquery(each)
        else:
            _check(part)
            check_zones(part, parameters)


def _selects(element: SelectBase) -> list[Select[Any]]:
    if isinstance(element, Select):
        return [element]
    inner = getattr(element, "element", None)
    if not isinstance(inner, SelectBase):
        raise NotMergeable(reason="a union inside a statement is not looked into; use OR")
    return _selects(inner)


def _check(part: ClauseElement) -> None:
    match part:
        case TextClause():
            raise NotMergeable(reason="text() is not understood; write it with columns")
        case FunctionElement():
            check_function(part)
        # count(*), and EXISTS (SELECT 1 …) as relationships write it.
        case ColumnClause() if part.is_literal and part.name not in {"*", "1"}:
            raise NotMergeable(reason="literal_column() is not understood; write it with columns")
        case WithinGroup() | Over() | FunctionFilter() | TypeCoerce() | Label():
            pass
        case _ if not isinstance(part, _ELEMENTS):
            raise NotMergeable(reason=f"{type(part).__name__} is not understood")


def is_distinct(element: object) -> bool:
    """Tell whether an aggregate's argument is DISTINCT."""
    return isinstance(element, UnaryExpression) and element.operator is distinct_op
