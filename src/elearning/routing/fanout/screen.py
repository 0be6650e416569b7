"""What may stand in a statement that several shards answer, each by itself.

Only what is positively known to give the same on every shard as on one database: no
text, no clocks, no random numbers, nothing that depends on a server's time zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, DateTime, Select
from sqlalchemy.sql.elements import (
    BindParameter,
    Case,
    Cast,
    ClauseElement,
    ClauseList,
    CollationClause,
    ColumnClause,
    ColumnElement,
    Extract,
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

__all__ = [
    "AGGREGATES",
    "aggregates_in",
    "bare",
    "check_elements",
    "inside",
    "is_distinct",
    "name_of",
    "windows_in",
]

AGGREGATES = frozenset(
    """
    array_agg avg bit_and bit_or bool_and bool_or count every json_agg jsonb_agg
    jsonb_object_agg max min mode percentile_cont percentile_disc stddev stddev_pop
    stddev_samp string_agg sum var_pop var_samp variance
    """.split()  # noqa: SIM905 - many words read better without quotes
)
"""Functions over the rows of a group."""

_BY_ROW = frozenset(
    """
    abs btrim ceil char_length coalesce concat date_trunc floor get_byte greatest jsonb_build_object
    least left length lower ltrim mod nullif replace right round rtrim split_part strpos
    substr substring timezone trim trunc upper uuid_send
    """.split()  # noqa: SIM905
)
"""Functions of one row's values alone."""

_WINDOWS = frozenset(
    """
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number
    """.split()  # noqa: SIM905
)

_CLOCKS = frozenset(
    [
        "clock_timestamp",
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "now",
        "statement_timestamp",
        "sysdate",
        "transaction_timestamp",
    ]
)

_WITH_ZONE = {"date_trunc": 3, "timezone": 2}
"""How many arguments functions of time have that name the zone."""

_AS_TEXT = {"concat", "json_agg", "jsonb_agg", "jsonb_build_object", "jsonb_object_agg"}
"""Functions that write their arguments as text, times in the server's zone."""

_ELEMENTS = (
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
            _check(part, parameters)


def _selects(element: SelectBase) -> list[Select[Any]]:
    if isinstance(element, Select):
        return [element]
    inner = getattr(element, "element", None)
    if not isinstance(inner, SelectBase):
        raise NotMergeable(reason="a union inside a statement is not looked into; use OR")
    return _selects(inner)


def _check(part: ClauseElement, parameters: Mapping[str, Any]) -> None:
    match part:
        case TextClause():
            raise NotMergeable(reason="text() is not understood; write it with columns")
        case FunctionElement():
            _check_function(part)
        case Cast():
            _check_zone(part.clause, "a cast")
            _check_zone(part, "a cast")
        case Extract():
            _check_zone(part.expr, "extract()")
        # count(*), and EXISTS (SELECT 1 …) as relationships write it.
        case ColumnClause() if part.is_literal and part.name not in {"*", "1"}:
            raise NotMergeable(reason="literal_column() is not understood; write it with columns")
        case BindParameter():
            value = parameters.get(part.key, part.effective_value)
            for each in value if isinstance(value, list | tuple | set | frozenset) else (value,):
                _check_value(each, part)
        case WithinGroup() | Over() | FunctionFilter() | TypeCoerce() | Label():
            pass
        case _ if not isinstance(part, _ELEMENTS):
            raise NotMergeable(reason=f"{type(part).__name__} is not understood")


def _check_function(function: FunctionElement[Any]) -> None:
    name = name_of(function)
    if name in _CLOCKS:
        raise NotMergeable(
            reason=f"each server has a clock of its own, so {name}() differs; pass the time"
        )
    # Without a zone the server's is used.
    if len(function.clauses) < _WITH_ZONE.get(name, 0):
        raise NotMergeable(
            reason=f"{name}() depends on each server's time zone; name the zone in it"
        )
    if name in _AS_TEXT:
        for argument in function.clauses:
            _check_zone(argument, "a text")
    if name not in _BY_ROW | AGGREGATES | _WINDOWS:
        raise NotMergeable(
            reason=f"the function {name}() is not known to give the same on every shard"
        )


def name_of(function: FunctionElement[Any]) -> str:
    """Return the name of a function, with its package, in small letters."""
    return ".".join(str(name) for name in (*function.packagenames, function.name)).lower()


def _check_zone(element: ColumnElement[Any], what: str) -> None:
    zoned = isinstance(element.type, DateTime) and element.type.timezone
    if what == "extract()" and not isinstance(element.type, Date):
        zoned = not (isinstance(element, FunctionElement) and name_of(element) == "timezone")
    if zoned:
        raise NotMergeable(
            reason=f"{what} of a time depends on each server's time zone; use "
            "func.timezone('UTC', column)"
        )


def _check_value(value: object, parameter: BindParameter[Any]) -> None:
    naive = isinstance(value, datetime) and value.tzinfo is None
    day = isinstance(parameter.type, DateTime) and type(value) is date
    if naive or day:
        raise NotMergeable(
            reason=f"{value!r} has no time zone, and each server would read it in its own"
        )


def is_distinct(element: object) -> bool:
    """Tell whether an aggregate's argument is DISTINCT."""
    return isinstance(element, UnaryExpression) and element.operator is distinct_op
