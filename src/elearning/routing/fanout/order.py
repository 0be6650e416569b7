"""ORDER BY, as PostgreSQL understands it, over rows of several shards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select
from sqlalchemy.sql.elements import (
    ColumnElement,
    Grouping,
    Label,
    UnaryExpression,
    _label_reference,
    _textual_label_reference,
)
from sqlalchemy.sql.operators import asc_op, desc_op, nulls_first_op, nulls_last_op

from elearning.errors import NotMergeable
from elearning.routing.fanout.kinds import Kind, comparable, place_in_order

__all__ = ["OrderKey", "order_of", "sort_rows"]


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One key of an ORDER BY."""

    element: ColumnElement[Any]
    kind: Kind
    descending: bool = False
    nulls_first: bool = False

    @property
    def nulls(self) -> int:
        """1 where NULL counts as the greatest value, which is the default, -1 as the least."""
        return 1 if self.nulls_first is self.descending else -1


def order_of(statement: Select[Any], named: Mapping[str, ColumnElement[Any]]) -> list[OrderKey]:
    """Return the keys of a statement's ORDER BY.

    Args:
        statement: the statement.
        named: the expressions that it selects, by name.

    Raises:
        NotMergeable: Python does not know the order of a key, or what it means.
    """
    return [_key(clause, named) for clause in statement._order_by_clauses]  # noqa: SLF001


def sort_rows(rows: list[Sequence[Any]], keys: Sequence[OrderKey], first: int) -> None:
    """Sort rows in place.

    Args:
        rows: of all shards.
        keys: what to sort by.
        first: where in the rows the keys' values begin.
    """
    # The last key first: each pass keeps the order of the one before among equals.
    for position, key in reversed(list(enumerate(keys, start=first))):
        rows.sort(key=_by(position, key.nulls), reverse=key.descending)


def _by(position: int, nulls: int) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    return lambda row: place_in_order(row[position], nulls=nulls)


def _key(clause: Any, named: Mapping[str, ColumnElement[Any]]) -> OrderKey:
    descending = False
    nulls_first: bool | None = None
    element = clause
    while True:
        if isinstance(element, UnaryExpression) and element.modifier in _MODIFIERS:
            if element.modifier is desc_op:
                descending = True
            elif element.modifier in {nulls_first_op, nulls_last_op}:
                nulls_first = element.modifier is nulls_first_op
            element = element.element
        elif isinstance(element, _label_reference | Label | Grouping):
            element = element.element
        elif isinstance(element, _textual_label_reference):
            if element.element not in named:
                raise NotMergeable(
                    reason=f"ORDER BY {element.element!r} names nothing that it selects; "
                    "order by the column itself"
                )
            element = named[element.element]
        else:
            break
    kind = comparable(element, "ORDER BY of")
    return OrderKey(element, kind, descending, descending if nulls_first is None else nulls_first)


_MODIFIERS = {asc_op, desc_op, nulls_first_op, nulls_last_op}
