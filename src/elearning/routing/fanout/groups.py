"""GROUP BY, and aggregates over everything, of several shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import FromClause, inspect
from sqlalchemy.sql.elements import BindParameter, ColumnElement, FunctionFilter
from sqlalchemy.sql.functions import FunctionElement

from elearning.errors import NotMergeable
from elearning.routing.fanout.aggregates import first, merge_average, merge_of
from elearning.routing.fanout.functions import name_of
from elearning.routing.fanout.kinds import Kind, identity, kind_of
from elearning.routing.fanout.locality import Locality
from elearning.routing.fanout.parts import same
from elearning.routing.fanout.schema import model_of, place_of, table_of
from elearning.routing.fanout.screen import aggregates_in, bare

__all__ = ["Groups"]

Rows = Sequence[Sequence[Any]]


class Groups:
    """How the groups of several shards become those of one database.

    Args:
        keys: the expressions of GROUP BY; none: one group of everything.
        locality: where the rows are.
        shown: how many columns the statement selects by itself.
    """

    def __init__(self, keys: Sequence[ColumnElement[Any]], locality: Locality, shown: int) -> None:
        for key in keys:
            if kind_of(key) is Kind.OTHER:
                raise NotMergeable(
                    reason=f"GROUP BY of the type {key.type!r} is not known to tell groups apart "
                    "alike in Python; give a function its type_, or cast"
                )
        self._keys = keys
        self._locality = locality
        self._shown = shown
        self._merges: list[Callable[[Rows], Any]] = []
        self.hidden: list[ColumnElement[Any]] = list(keys)
        """What each shard must select besides, after its own columns."""

    def show(self, element: object) -> None:
        """Add the next column that the statement selects.

        Raises:
            NotMergeable: its value in a group may differ from shard to shard.
        """
        self._merges.append(self._merge(len(self._merges), element))

    def order_by(self, element: ColumnElement[Any]) -> None:
        """Add a column to order by, after all that are shown.

        Raises:
            NotMergeable: its value in a group may differ from shard to shard.
        """
        position = self._shown + len(self.hidden)
        self.hidden.append(element)
        self._merges.append(self._merge(position, element))

    def merge(self, rows: Rows) -> list[Sequence[Any]]:
        """Return one row for each group: what is shown, then what to order by."""
        groups: dict[tuple[object, ...], list[Sequence[Any]]] = {}
        begin, end = self._shown, self._shown + len(self._keys)
        for row in rows:
            groups.setdefault(tuple(map(identity, row[begin:end])), []).append(row)
        return [tuple(merge(group) for merge in self._merges) for group in groups.values()]

    def _merge(self, position: int, element: object) -> Callable[[Rows], Any]:
        if self._is_fixed(element):
            return lambda rows: first(rows)[position]
        if not isinstance(element, ColumnElement):
            raise NotMergeable(reason=f"{element} may differ inside a group; group by its id")
        expression = bare(element)
        aggregates = aggregates_in(expression)
        if len(aggregates) != 1 or aggregates[0] is not expression:
            raise NotMergeable(
                reason=f"a value computed from aggregates ({_short(expression)}) is not merged; "
                "select the aggregates and compute in Python"
                if aggregates
                else f"{_short(expression)} may differ inside a group; group by it"
            )
        merge, parts = merge_of(expression, self._locality.is_own)
        if parts:
            at = self._shown + len(self.hidden)
            self.hidden += parts
            return lambda rows: merge_average(
                [row[at] for row in rows], [row[at + 1] for row in rows]
            )
        return lambda rows: merge([row[position] for row in rows])

    def _is_fixed(self, element: object) -> bool:
        """Tell whether all rows of a group agree: a key, or what a key determines."""
        if not isinstance(element, ColumnElement):
            source = inspect(element).selectable
            return self._determines(source)
        expression = bare(element)
        if isinstance(expression, BindParameter):
            return True
        if any(same(expression, key) for key in self._keys):
            return True
        place = place_of(expression)
        return place is not None and self._determines(place.source)

    def _determines(self, source: FromClause) -> bool:
        """Tell whether the id of a table's row is among the keys."""
        if model_of(table_of(source)) is None:
            return False  # keys of bookkeeping repeat from shard to shard
        found = [place for key in self._keys if (place := place_of(key)) is not None]
        return any(place.source == source and place.column.name == "id" for place in found)


def _short(element: ColumnElement[Any]) -> str:
    if isinstance(element, FunctionFilter):
        return _short(element.func)
    return f"{name_of(element)}()" if isinstance(element, FunctionElement) else str(element)[:60]
