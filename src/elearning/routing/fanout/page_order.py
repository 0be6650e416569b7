"""In which order pages are, and which rows come after one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BinaryExpression,
    BindParameter,
    Cast,
    ColumnElement,
    Null,
    Select,
    String,
    and_,
    bindparam,
    false,
    or_,
    tuple_,
)
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import add, collate, is_not, mul, sub, truediv
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import TypeEngine

from elearning.errors import NotMergeable
from elearning.routing.fanout.cursor import name_of
from elearning.routing.fanout.functions import name_of as function_name
from elearning.routing.fanout.kinds import Kind, comparable
from elearning.routing.fanout.locality import Sources, names_of_bookkeeping, sources_of
from elearning.routing.fanout.order import OrderKey, order_of
from elearning.routing.fanout.parts import columns_of, named_in
from elearning.routing.fanout.schema import place_of
from elearning.routing.fanout.screen import aggregates_in, windows_in
from elearning.routing.statements import literals_of

__all__ = [
    "Mark",
    "PageOrder",
    "comes_after",
    "has_values",
    "mark_of",
    "order_clause",
    "page_order_of",
]

Mark = BindParameter[Any]
_ARITHMETIC = frozenset({add, sub, mul, truediv})


class PageOrder(NamedTuple):
    """In which order a statement's pages are, which all statements of its form have in common."""

    keys: Sequence[OrderKey]
    name: bytes
    """What cursors are told apart by."""
    nullable: Sequence[bool]
    """Whether a key can be NULL."""

    @property
    def is_one_comparison(self) -> bool:
        """Whether PostgreSQL compares whole rows so: then an index answers at once."""
        first = self.keys[0].descending
        return not any(self.nullable) and all(key.descending is first for key in self.keys)


_MOST_KNOWN = 500
_known: dict[tuple[Any, ...], PageOrder] = {}


def page_order_of(statement: Select[Any], *, alone: bool) -> PageOrder:
    """Return the order of a statement; to look into one takes as long as to run it.

    Args:
        statement: what pages are asked of.
        alone: whether one shard is asked, and one row of the first table makes one row.

    Raises:
        NotMergeable: the statement groups, cuts or removes rows by itself, or has no such order.
    """
    key = statement._generate_cache_key()  # noqa: SLF001 - there is no public name
    form: tuple[Any, ...] = ()
    # What stands in the SQL itself is no part of SQLAlchemy's key.
    literals = None if key is None else literals_of(key.bindparams)
    if key is not None and literals is not None:
        form = (alone, key.key, literals)
        if (known := _known.get(form)) is not None:
            return known
    _check_rows(statement)
    sources = sources_of(statement)
    keys = _unique(statement, sources, alone=alone)
    order = PageOrder(keys, name_of(keys), [_can_be_null(each, sources) for each in keys])
    if form and not has_values(order):
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[form] = order
    return order


def has_values(order: PageOrder) -> bool:
    """Tell whether values of parameters are a part of an order: then it is its statement's own."""
    return any(
        isinstance(part, BindParameter) and not part.literal_execute
        for key in order.keys
        for part in iterate(key.element)
    )


def _check_rows(statement: Select[Any]) -> None:
    """Refuse what is not one result row for each row of the tables."""
    own = {
        "a page has its own limit; leave limit(), offset() and fetch() out": (
            statement._limit_clause is not None  # noqa: SLF001 - there are no public names
            or statement._offset_clause is not None  # noqa: SLF001
            or statement._fetch_clause is not None  # noqa: SLF001
        ),
        "pages are of rows, not of groups or distinct values": bool(
            statement._group_by_clauses  # noqa: SLF001
            or statement._having_criteria  # noqa: SLF001
            or statement._distinct  # noqa: SLF001
            or any(aggregates_in(column) for column in statement.selected_columns)
        ),
        "a window would see the rows of one page": any(
            windows_in(column) for column in statement.selected_columns
        ),
    }
    for reason, found in own.items():
        if found:
            raise NotMergeable(reason=reason)


def _unique(statement: Select[Any], sources: Sources, *, alone: bool) -> list[OrderKey]:
    """Return the order of a statement, with the ids of all tables at its end.

    Args:
        statement: the statement.
        sources: its tables.
        alone: whether one shard is asked, and one row of the first table makes one row.
    """
    named = named_in(columns_of(statement))
    tables = list(sources.conditions)[: 1 if alone else None]
    if not alone and (unclear := names_of_bookkeeping(tables)):
        raise NotMergeable(reason=f"keys of {', '.join(unclear)} repeat from shard to shard")
    keys = order_of(statement, named)
    for key in keys:
        if key.kind is Kind.FLOAT:
            raise NotMergeable(reason="a floating point number cannot mark where a page begins")
    places = [place_of(key.element) for key in keys]
    # In the direction of what comes before, so that an index on both can be followed.
    descending = bool(keys) and keys[-1].descending
    for source in tables:
        for own in source.primary_key:
            if place_of(own) not in places:
                keys.append(OrderKey(own, comparable(own, "ORDER BY of"), descending, descending))
    return keys


def order_clause(key: OrderKey) -> ColumnElement[Any]:
    """Return a key as ORDER BY has it."""
    ordered = key.element.desc() if key.descending else key.element.asc()
    return ordered.nulls_first() if key.nulls_first else ordered.nulls_last()


def comes_after(order: PageOrder, marks: Sequence[Mark | None]) -> ColumnElement[bool]:
    """Return the condition for the rows after one row.

    Args:
        order: the order.
        marks: the row's values of its keys; None where one is NULL.
    """
    keys = order.keys
    if order.is_one_comparison:
        row = tuple_(*(key.element for key in keys))
        bound = tuple_(*(mark for mark in marks if mark is not None))
        return row < bound if keys[0].descending else row > bound
    equal: list[ColumnElement[bool]] = []
    ways: list[ColumnElement[bool]] = []
    for key, mark, nullable in zip(keys, marks, order.nullable, strict=True):
        ways.append(and_(*equal, _is_after(key, mark, nullable=nullable)))
        equal.append(key.element.is_(None) if mark is None else key.element == mark)
    # What follows from the rest, in a form that an index can be searched by.
    first = or_(_is_after(keys[0], marks[0], nullable=order.nullable[0]), equal[0])
    return and_(first, or_(*ways))


def _is_after(key: OrderKey, mark: Mark | None, *, nullable: bool) -> ColumnElement[bool]:
    if mark is None:
        return key.element.is_not(None) if key.nulls_first else false()
    after = key.element < mark if key.descending else key.element > mark
    if key.nulls_first or not nullable:
        return after
    return or_(after, key.element.is_(None))


def _can_be_null(key: OrderKey, sources: Sources) -> bool:
    return any(_part_can_be_null(part, sources) for part in _strict_parts(key.element))


def _part_can_be_null(part: Any, sources: Sources) -> bool:
    place = place_of(part)
    for condition in () if place is None else sources.conditions[place.source]:
        if isinstance(condition, BinaryExpression) and condition.operator is is_not:
            tested = place_of(condition.left)
            if tested == place and isinstance(condition.right, Null):
                return False
    return place is None or place.column.nullable is True or place.source in sources.optional


def _strict_parts(element: Any) -> Iterator[Any]:
    """Yield what an expression is made of that is NULL only where one of these is.

    So are a text's small form, and what is computed from numbers.
    """
    if isinstance(element, Grouping):
        yield from _strict_parts(element.element)
    elif isinstance(element, Cast):
        yield from _strict_parts(element.clause)
    elif isinstance(element, BinaryExpression) and element.operator is collate:
        yield from _strict_parts(element.left)
    elif isinstance(element, BinaryExpression) and element.operator in _ARITHMETIC:
        yield from _strict_parts(element.left)
        yield from _strict_parts(element.right)
    elif isinstance(element, FunctionElement) and function_name(element) in {"lower", "upper"}:
        (clause,) = element.clauses
        yield from _strict_parts(clause)
    elif not isinstance(element, BindParameter) or element.effective_value is None:
        yield element


def mark_of(name: str, key: OrderKey) -> Mark:
    """Return the parameter that stands for a row's value of a key."""
    type_: TypeEngine[Any] = key.element.type
    if key.kind is Kind.INTEGER:
        type_ = BigInteger()
    elif key.kind is Kind.C_TEXT:
        type_ = String()
    return bindparam(name, type_=type_)
