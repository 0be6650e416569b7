"""Pages over several shards, each begun after the last row of the one before.

No row is skipped or repeated when others come or go meanwhile, and the hundredth page
costs as much as the first. A row whose own order keys change moves, as it would by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    false,
    literal,
    or_,
    tuple_,
)
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import add, collate, is_not, mul, sub, truediv
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import TypeEngine

from elearning.errors import InvalidText, NotMergeable
from elearning.regions import Region
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.fanout.ask import OnShardError, Question, Terms, question
from elearning.routing.fanout.cursor import name_of, read_cursor, write_cursor
from elearning.routing.fanout.functions import name_of as function_name
from elearning.routing.fanout.kinds import Kind, comparable
from elearning.routing.fanout.locality import Sources, names_of_bookkeeping, sources_of
from elearning.routing.fanout.order import OrderKey, order_of
from elearning.routing.fanout.parts import columns_of, named_in
from elearning.routing.fanout.plan import statement_of
from elearning.routing.fanout.result import FanOutResult
from elearning.routing.fanout.run import answer, answer_async
from elearning.routing.fanout.schema import place_of
from elearning.routing.fanout.screen import aggregates_in, windows_in
from elearning.routing.read_session import Reader
from elearning.routing.token import Token

__all__ = ["Page", "fan_out_page", "fan_out_page_async", "page_of"]

MOST = 1000
_ARITHMETIC = frozenset({add, sub, mul, truediv})


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and where to go on.

    With ``on_shard_error="partial"`` the rows of a missing shard are not made up for by
    later pages: where `rows` is partial, ask for the same page again.
    """

    rows: FanOutResult
    next: str | None
    """The cursor of the next page; None: this is the last one."""


def fan_out_page(  # noqa: PLR0913 - all but two are options
    engines: Engines,
    statement: object,
    parameters: Mapping[str, Any] | None = None,
    *,
    size: int,
    after: str | None = None,
    shards: Sequence[str] | None = None,
    consistency: Consistency | str = Consistency.SESSION,
    token: Token | str | None = None,
    on_shard_error: OnShardError = "raise",
) -> Page:
    """Return a page of what a statement asks of several shards.

    ::

        page = fan_out_page(engines, select(User).order_by(User.created_at.desc()), size=50)
        page = fan_out_page(engines, ..., size=50, after=page.next)

    Args:
        engines: synchronous engines of all shards.
        statement: a SELECT of rows, in an order; the ids of its tables are added to it, so
            that no two rows are equal.
        parameters: the values of its parameters.
        size: how many rows at most, 1 to 1000.
        after: the cursor that the page before gave; None: the first page.
        shards: see `fan_out`.
        consistency: see `fan_out`.
        token: see `fan_out`.
        on_shard_error: see `fan_out`.

    Raises:
        InvalidPage: the cursor is damaged, or of another order.
        NotMergeable: see `fan_out`; or the statement groups, cuts or removes rows by itself.
        InvalidText: an argument is wrong.
        NodeUnavailable: see `fan_out`.
    """
    terms = Terms(shards, consistency, token, on_shard_error)
    paged = _paged(statement, size, after)
    return paged.read(answer(paged.ask(engines, parameters, terms, asynchronous=False)))


async def fan_out_page_async(  # noqa: PLR0913 - as above
    engines: Engines,
    statement: object,
    parameters: Mapping[str, Any] | None = None,
    *,
    size: int,
    after: str | None = None,
    shards: Sequence[str] | None = None,
    consistency: Consistency | str = Consistency.SESSION,
    token: Token | str | None = None,
    on_shard_error: OnShardError = "raise",
) -> Page:
    """Do as `fan_out_page` with asynchronous engines."""
    terms = Terms(shards, consistency, token, on_shard_error)
    paged = _paged(statement, size, after)
    return paged.read(await answer_async(paged.ask(engines, parameters, terms, asynchronous=True)))


def page_of(
    session: Reader,
    statement: Select[*tuple[Any, ...]],
    *,
    size: int,
    after: str | None = None,
    region: Region | None = None,
) -> Page:
    """Return a page of what a statement asks of one session.

    Args:
        session: a session, which finds the node.
        statement: a SELECT of rows, in an order; the id of the first table is added to it, so
            that no two rows are equal: each row of the result has another one.
        size: how many rows at most, 1 to 1000.
        after: the cursor that the page before gave; None: the first page.
        region: whose shard is asked; None: the ids in the statement tell, or the session.

    Raises:
        InvalidPage: the cursor is damaged, or of another order.
        NotMergeable: the statement groups, cuts or removes rows by itself.
        InvalidText: the size is wrong.
    """
    paged = _paged(statement, size, after, alone=True)
    options = {} if region is None else {"region": region}
    result = session.execute(paged.statement, execution_options=options)
    names = list(result.keys())
    rows = [tuple(row) for row in result]
    selected = [each["expr"] for each in paged.statement.column_descriptions]
    return paged.read(FanOutResult(names, selected, rows, shards=(), errors={}))


class _Order(NamedTuple):
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
_known: dict[tuple[Any, ...], _Order] = {}


class _Paged(NamedTuple):
    statement: Select[Any]
    """Of one row more than the page holds, with the order keys at the end."""
    order: _Order
    size: int

    def ask(
        self,
        engines: Engines,
        parameters: Mapping[str, Any] | None,
        terms: Terms,
        *,
        asynchronous: bool,
    ) -> Question:
        return question(engines, self.statement, parameters, terms, asynchronous=asynchronous)

    def read(self, found: FanOutResult) -> Page:
        rows = found.all()
        shown = len(found.keys()) - len(self.order.keys)
        more = len(rows) > self.size
        page = found.narrowed(shown, self.size)
        last = rows[self.size - 1][shown:] if more else ()
        return Page(page, write_cursor(self.order.keys, last, self.order.name) if more else None)


def _paged(statement: object, size: int, after: str | None, *, alone: bool = False) -> _Paged:
    if type(size) is not int or not 1 <= size <= MOST:
        raise InvalidText(field="size", problem=f"{size!r} is no number from 1 to {MOST}")
    asked = statement_of(statement)
    if not isinstance(asked, Select):
        raise NotMergeable(reason="a union is not looked into; ask for its parts one by one")
    order = _order_of(asked, alone=alone)
    labels = [key.element.label(f"page_key_{n}") for n, key in enumerate(order.keys, start=1)]
    ordered = asked.order_by(None).order_by(*(_clause(key) for key in order.keys))
    if after is not None:
        ordered = ordered.where(_comes_after(order, read_cursor(order.keys, after, order.name)))
    return _Paged(ordered.add_columns(*labels).limit(size + 1), order, size)


def _order_of(statement: Select[Any], *, alone: bool) -> _Order:
    """Return the order of a statement; to look into one takes as long as to run it."""
    key = statement._generate_cache_key()  # noqa: SLF001 - there is no public name
    form: tuple[Any, ...] = ()
    if key is not None:
        # What stands in the SQL itself is no part of SQLAlchemy's key.
        form = (alone, key.key, *(b.effective_value for b in key.bindparams if b.literal_execute))
        if (known := _known.get(form)) is not None:
            return known
    _check_rows(statement)
    sources = sources_of(statement)
    keys = _unique(statement, sources, alone=alone)
    order = _Order(keys, name_of(keys), [_can_be_null(each, sources) for each in keys])
    # The values in a statement's order are its own.
    if form and not any(_has_values(each.element) for each in keys):
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[form] = order
    return order


def _has_values(element: ColumnElement[Any]) -> bool:
    return any(
        isinstance(part, BindParameter) and not part.literal_execute for part in iterate(element)
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


def _clause(key: OrderKey) -> ColumnElement[Any]:
    ordered = key.element.desc() if key.descending else key.element.asc()
    return ordered.nulls_first() if key.nulls_first else ordered.nulls_last()


def _comes_after(order: _Order, values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition for the rows after one row."""
    keys = order.keys
    if order.is_one_comparison:
        row = tuple_(*(key.element for key in keys))
        bound = tuple_(*(_literal(key, value) for key, value in zip(keys, values, strict=True)))
        return row < bound if keys[0].descending else row > bound
    equal: list[ColumnElement[bool]] = []
    ways: list[ColumnElement[bool]] = []
    for key, value, nullable in zip(keys, values, order.nullable, strict=True):
        ways.append(and_(*equal, _is_after(key, value, nullable=nullable)))
        equal.append(
            key.element.is_(None) if value is None else key.element == _literal(key, value)
        )
    # What follows from the rest, in a form that an index can be searched by.
    first = or_(_is_after(keys[0], values[0], nullable=order.nullable[0]), equal[0])
    return and_(first, or_(*ways))


def _is_after(key: OrderKey, value: Any, *, nullable: bool) -> ColumnElement[bool]:
    if value is None:
        return key.element.is_not(None) if key.nulls_first else false()
    bound = _literal(key, value)
    after = key.element < bound if key.descending else key.element > bound
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


def _literal(key: OrderKey, value: Any) -> ColumnElement[Any]:
    type_: TypeEngine[Any] = key.element.type
    if key.kind is Kind.INTEGER:
        type_ = BigInteger()
    elif key.kind is Kind.C_TEXT:
        type_ = String()
    return literal(value, type_)
