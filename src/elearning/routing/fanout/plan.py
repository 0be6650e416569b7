"""What each shard is asked, and how their answers become one.

A statement whose groups or rows are whole on their shards is asked as it is, with LIMIT
widened by OFFSET; else groups are merged, and ordered and cut afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Delete, FromClause, Insert, Select, Update, literal
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseList, ColumnClause, ColumnElement, TextClause

from elearning.errors import NotMergeable
from elearning.routing.fanout.groups import Groups
from elearning.routing.fanout.kinds import Kind, identity, kind_of
from elearning.routing.fanout.locality import Locality, locate
from elearning.routing.fanout.options import check_options
from elearning.routing.fanout.order import OrderKey, order_of, sort_rows
from elearning.routing.fanout.parts import (
    columns_of,
    expressions_of,
    grouped_by,
    named_in,
    number_of,
    same,
)
from elearning.routing.fanout.schema import home_code, place_of
from elearning.routing.fanout.screen import aggregates_in, bare, inside, windows_in
from elearning.routing.fanout.subqueries import check_local

__all__ = [
    "Plan",
    "as_it_is",
    "located",
    "plain",
    "plan_for_one",
    "plan_of",
    "restrict",
    "statement_of",
]

Rows = list[Sequence[Any]]
_MOST = 2**63 - 1  # PostgreSQL's bigint


class Plan(NamedTuple):
    """One statement for all shards, and the merge of their rows."""

    statement: Select[Any] | CompoundSelect[Any]
    merge: Callable[[Rows], Rows]
    """Also takes off the columns that were added."""
    expressions: Sequence[object] = ()
    """What the statement selects, for reading rows by it."""
    restricted: FromClause | None = None
    """The table of which each shard shows the rows of its own regions only."""
    locality: Locality | None = None
    keys: Sequence[OrderKey] = ()
    hidden: int = 0
    """How many columns were added at the end."""


def statement_of(statement: object) -> Select[Any] | CompoundSelect[Any]:
    """Return a statement that reads, checked for what no shard may be asked.

    Raises:
        NotMergeable: it is none, it locks or writes, or is to be streamed.
    """
    if not isinstance(statement, Select | CompoundSelect):
        raise NotMergeable(
            reason=f"{type(statement).__name__} is no select(); write with a session for each shard"
        )
    if statement._for_update_arg is not None:  # noqa: SLF001 - there is no public name
        raise NotMergeable(reason="FOR UPDATE would lock rows only until each shard has answered")
    for part in visitors.iterate(statement):
        if isinstance(part, Insert | Update | Delete):
            raise NotMergeable(reason="it writes; write with a session for each shard")
    options = statement.get_execution_options()
    for name in ("yield_per", "stream_results"):
        if options.get(name):
            raise NotMergeable(reason=f"{name} streams, and a merge needs all rows; use pages")
    for name in ("shard", "region"):
        if options.get(name) is not None:
            raise NotMergeable(reason=f"it names its own {name}; leave that option out")
    return statement


def plain(statement: Select[Any] | CompoundSelect[Any]) -> Plan:
    """Return the plan where there is one shard only."""
    return Plan(statement, list, expressions_of(statement))


def as_it_is(statement: Select[Any] | CompoundSelect[Any]) -> Plan:
    """Return the plan for one shard that is asked by itself: nothing needs to be merged."""
    restricted = None
    if isinstance(statement, Select):
        try:
            restricted = locate(statement).restricted
        except NotMergeable:
            restricted = None
    return Plan(statement, list, expressions_of(statement), restricted)


def restrict(plan: Plan, codes: Sequence[int]) -> Select[Any] | CompoundSelect[Any]:
    """Return a plan's statement for the shard that hosts the regions of these codes."""
    home = None if plan.restricted is None else home_code(plan.restricted)
    if home is None or not isinstance(plan.statement, Select):
        return plan.statement
    # In the SQL itself: a parameter for a list of values is written anew at each execution.
    return plan.statement.where(home.in_([literal(code, literal_execute=True) for code in codes]))


def located(
    statement: Select[Any] | CompoundSelect[Any], parameters: Mapping[str, Any]
) -> tuple[Select[Any], Locality]:
    """Return a statement of which each shard can answer its part, and where the rows are.

    Args:
        statement: what is asked.
        parameters: the values of its parameters.

    Raises:
        NotMergeable: rows of several shards may belong together.
    """
    if isinstance(statement, CompoundSelect):
        raise NotMergeable(reason="a union is not looked into; ask for its parts one by one")
    locality = locate(statement)
    for column in statement._raw_columns:  # noqa: SLF001 - SQLAlchemy tells of no text among them
        if isinstance(column, TextClause) or (
            isinstance(column, ColumnClause) and column.is_literal
        ):
            raise NotMergeable(reason="text as a column may be anything; write it with columns")
    check_local(statement, locality, parameters)
    check_options(statement, locality)
    return statement, locality


def plan_for_one(statement: Select[Any], locality: Locality) -> Plan:
    """Return the plan where ids name one shard, which has all rows: nothing is merged."""
    return Plan(statement, list, expressions_of(statement), locality.restricted)


def plan_of(statement: Select[Any], locality: Locality, parameters: Mapping[str, Any]) -> Plan:
    """Return the plan for several shards.

    Args:
        statement: what is asked.
        locality: where its rows are.
        parameters: the values of its parameters.

    Raises:
        NotMergeable: the shards' answers would not tell what one database would answer.
    """
    if statement._fetch_clause is not None:  # noqa: SLF001 - there are no public names
        raise NotMergeable(reason="FETCH may ask for ties; use limit()")
    shown = columns_of(statement)
    named = named_in(shown)
    limit, offset = (
        number_of(name, clause, parameters)
        for name, clause in (
            ("limit", statement._limit_clause),  # noqa: SLF001
            ("offset", statement._offset_clause),  # noqa: SLF001
        )
    )
    keys = order_of(statement, named)
    groups = [
        key
        for clause in statement._group_by_clauses  # noqa: SLF001
        for key in grouped_by(clause, named)
    ]
    columns = [element for _, element in shown]
    if any(isinstance(column, ClauseList) for column in columns) and (
        groups
        or statement._distinct  # noqa: SLF001
        or any(aggregates_in(column) or windows_in(column) for column in statement.selected_columns)
    ):
        raise NotMergeable(reason="a Bundle is taken for a part of plain rows only")
    counted = any(
        aggregates_in(element)
        for element in (*columns, *(key.element for key in keys))
        if isinstance(element, ColumnElement)
    )
    for element in (*groups, *(key.element for key in keys)):
        _check_known(element, locality)
    for column in (*columns, *(key.element for key in keys)):
        if isinstance(column, ColumnElement):
            _check_windows(column, locality)
    cut = _Cut(keys, limit, offset, len(columns))
    grouped = bool(groups or counted or statement._having_criteria)  # noqa: SLF001
    if grouped and not any(locality.keeps_whole(key) for key in groups):
        return _merge_groups(statement, columns, groups, locality, cut)
    return _merge_rows(statement, locality, cut, grouped=grouped)


class _Cut(NamedTuple):
    """How the merged rows are ordered and cut."""

    keys: Sequence[OrderKey]
    limit: int | None
    offset: int | None
    shown: int

    def __call__(self, rows: Rows, first: int) -> Rows:
        sort_rows(rows, self.keys, first)
        begin = self.offset or 0
        end = None if self.limit is None else begin + self.limit
        return [row[: self.shown] for row in rows[begin:end]]


def _merge_groups(
    statement: Select[Any],
    columns: Sequence[object],
    keys: Sequence[ColumnElement[Any]],
    locality: Locality,
    cut: _Cut,
) -> Plan:
    if statement._having_criteria:  # noqa: SLF001 - there are no public names
        raise NotMergeable(
            reason="HAVING would see the groups of one shard; filter the result, or group by the "
            "owner's id"
        )
    if statement._distinct:  # noqa: SLF001
        raise NotMergeable(reason="DISTINCT of groups is not merged; use set() on the result")
    groups = Groups(keys, locality, len(columns))
    for column in columns:
        groups.show(column)
    for key in cut.keys:
        groups.order_by(key.element)
    # Ordered and cut once they are whole.
    bare = statement.order_by(None).limit(None).offset(None)
    asked = _with_hidden(bare, groups.hidden)
    return Plan(
        asked,
        lambda rows: cut(groups.merge(rows), cut.shown),
        expressions_of(statement),
        locality.restricted,
        locality,
        cut.keys,
        len(groups.hidden),
    )


def _merge_rows(
    statement: Select[Any],
    locality: Locality,
    cut: _Cut,
    *,
    grouped: bool,
) -> Plan:
    distinct = bool(statement._distinct) and _repeats(statement, locality, cut, grouped=grouped)  # noqa: SLF001
    asked = statement
    if cut.limit is not None or cut.offset is not None:
        widened = None if cut.limit is None else min(cut.limit + (cut.offset or 0), _MOST)
        asked = asked.limit(widened).offset(None)

    def merge(rows: Rows) -> Rows:
        if distinct:
            rows = list({tuple(map(identity, row)): row for row in rows}.values())
        return cut(rows, cut.shown)

    return Plan(
        _with_hidden(asked, [key.element for key in cut.keys]),
        merge,
        expressions_of(statement),
        locality.restricted,
        locality,
        cut.keys,
        len(cut.keys),
    )


def _repeats(statement: Select[Any], locality: Locality, cut: _Cut, *, grouped: bool) -> bool:
    """Tell whether two shards may have the same row of a SELECT DISTINCT."""
    selected = [bare(column) for column in statement.selected_columns]
    for key in cut.keys:
        if not any(same(key.element, column) for column in selected):
            raise NotMergeable(reason="SELECT DISTINCT orders by what it selects only")
    if not grouped and any(locality.keeps_whole(column) for column in selected):
        return False
    for column in selected:
        if kind_of(column) is Kind.OTHER:
            raise NotMergeable(
                reason=f"DISTINCT of the type {column.type!r} is not known to tell values "
                "apart alike in Python"
            )
    return True


def _with_hidden(statement: Select[Any], hidden: Sequence[ColumnElement[Any]]) -> Select[Any]:
    labels = [element.label(f"fan_out_{n}") for n, element in enumerate(hidden, start=1)]
    return statement.add_columns(*labels) if labels else statement


def _check_known(element: ColumnElement[Any], locality: Locality) -> None:
    """Refuse a table that no FROM names: PostgreSQL does so too, but selecting it would join it."""
    places = [place for part in inside(element) if (place := place_of(part)) is not None]
    if any(place.source not in locality.standing for place in places):
        raise NotMergeable(reason="ORDER BY or GROUP BY reads a table that FROM does not")


def _check_windows(element: ColumnElement[Any], locality: Locality) -> None:
    for window in windows_in(element):
        parts = window.partition_by
        if parts is None or not any(locality.keeps_whole(part) for part in parts):
            raise NotMergeable(
                reason="a window would see the rows of one shard; partition it by the owner's id"
            )
