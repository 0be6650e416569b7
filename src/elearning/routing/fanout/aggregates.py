"""Aggregates of several shards put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import func
from sqlalchemy.sql.elements import ColumnElement, FunctionFilter
from sqlalchemy.sql.functions import FunctionElement

from elearning.errors import NotMergeable
from elearning.routing.fanout.division import EXACT, average
from elearning.routing.fanout.functions import name_of
from elearning.routing.fanout.kinds import Kind, comparable, kind_of, place_in_order
from elearning.routing.fanout.screen import is_distinct

__all__ = ["Merge", "first", "merge_of"]

Merge = Callable[[Sequence[Any]], Any]
"""From what the shards answer, one value each, to what one database would."""


def first(values: Sequence[Any]) -> Any:
    """Return the value that all shards agree on."""
    return values[0]


def merge_of(
    aggregate: ColumnElement[Any], is_own: Callable[[object], bool]
) -> tuple[Merge, list[ColumnElement[Any]]]:
    """Return how an aggregate is merged, and the expressions that this takes besides.

    Args:
        aggregate: an aggregate function, or one with FILTER.
        is_own: tells of an expression whether no two shards have the same value of it.

    Raises:
        NotMergeable: the shards' values do not tell it.
    """
    function = aggregate.func if isinstance(aggregate, FunctionFilter) else aggregate
    if not isinstance(function, FunctionElement):
        raise NotMergeable(reason="WITHIN GROUP needs all rows of a group on one shard")
    name = name_of(function)
    argument: Any = next(iter(function.clauses), None)
    if is_distinct(argument):
        argument = argument.element
        _check_distinct(name, own=is_own(argument))
    if name in _MERGES:
        if name in {"min", "max"}:
            comparable(argument, f"{name}() of")
        elif name == "sum":
            _check_number(argument, name)
        return _MERGES[name], []
    if name != "avg":
        raise NotMergeable(
            reason=f"{name}() needs all rows of a group on one shard; group by the owner's id"
        )
    _check_number(argument, name)
    parts: list[ColumnElement[Any]] = [func.sum(argument), func.count(argument)]
    if isinstance(aggregate, FunctionFilter):
        parts = [part.filter(aggregate.criterion) for part in parts]
    return first, parts


def merge_average(totals: Sequence[Any], counts: Sequence[int]) -> Decimal | None:
    """Return the average of all rows, from the shards' sums and counts."""
    total = _of_some(_sum)(totals)
    return None if total is None else average(total, sum(counts))


def _check_distinct(name: str, *, own: bool) -> None:
    if name in {"sum", "avg"} or (name == "count" and not own):
        raise NotMergeable(
            reason=f"{name}(DISTINCT …) would count a value again that two shards have; "
            "select the distinct values, or group by the owner's id"
        )


def _check_number(argument: ColumnElement[Any], name: str) -> None:
    kind = kind_of(argument)
    if kind is Kind.FLOAT:
        raise NotMergeable(
            reason=f"{name}() of floating point numbers depends on the order in which they are "
            "added; cast them to Numeric"
        )
    if kind not in {Kind.INTEGER, Kind.DECIMAL}:
        raise NotMergeable(
            reason=f"{name}() of the type {argument.type!r} is not known to be exact; "
            "give a function its type_, or cast to Numeric"
        )


def _of_some(merge: Merge) -> Merge:
    """Leave NULLs out, as aggregates do; NULL where nothing is left."""

    def merge_some(values: Sequence[Any]) -> Any:
        some = [value for value in values if value is not None]
        return merge(some) if some else None

    return merge_some


def _in_order(value: Any) -> tuple[Any, ...]:
    return place_in_order(value, nulls=1)


def _sum(values: Sequence[Any]) -> int | Decimal:
    integers = [value for value in values if isinstance(value, int)]
    if len(integers) == len(values):
        return sum(integers)
    total = Decimal(0)
    for value in values:
        if not isinstance(value, int | Decimal):
            raise NotMergeable(
                reason=f"a sum is a {type(value).__name__}, though its type says an exact number"
            )
        total = EXACT.add(total, Decimal(value))
    return total


_MERGES: dict[str, Merge] = {
    "bool_and": _of_some(all),
    "bool_or": _of_some(any),
    "count": sum,
    "every": _of_some(all),
    "max": _of_some(lambda values: max(values, key=_in_order)),
    "min": _of_some(lambda values: min(values, key=_in_order)),
    "sum": _of_some(_sum),
}
