"""Pages over several shards, each begun after the last row of the one before.

No row is skipped or repeated when others come or go meanwhile, and the hundredth page
costs as much as the first. A row whose own order keys change moves, as it would by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BinaryExpression,
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
from sqlalchemy.sql.operators import is_not
from sqlalchemy.types import TypeEngine

from elearning.errors import InvalidText, NotMergeable
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.fanout.ask import OnShardError, Question, Terms, question
from elearning.routing.fanout.cursor import read_cursor, write_cursor
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
    session: Reader, statement: Select[Any], *, size: int, after: str | None = None
) -> Page:
    """Return a page of what a statement asks of one session.

    Args:
        session: a session, which finds the node.
        statement: a SELECT of rows, in an order; the id of the first table is added to it, so
            that no two rows are equal: each row of the result has another one.
        size: how many rows at most, 1 to 1000.
        after: the cursor that the page before gave; None: the first page.

    Raises:
        InvalidPage: the cursor is damaged, or of another order.
        NotMergeable: the statement groups, cuts or removes rows by itself.
        InvalidText: the size is wrong.
    """
    paged = _paged(statement, size, after, alone=True)
    result = session.execute(paged.statement)
    names = list(result.keys())
    rows = [tuple(row) for row in result]
    selected = [each["expr"] for each in paged.statement.column_descriptions]
    return paged.read(FanOutResult(names, selected, rows, shards=(), errors={}))


class _Paged(NamedTuple):
    statement: Select[Any]
    """Of one row more than the page holds, with the order keys at the end."""
    keys: Sequence[OrderKey]
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
        shown = len(found.keys()) - len(self.keys)
        more = len(rows) > self.size
        page = found.narrowed(shown, self.size)
        return Page(page, write_cursor(self.keys, rows[self.size - 1][shown:]) if more else None)


def _paged(statement: object, size: int, after: str | None, *, alone: bool = False) -> _Paged:
    if type(size) is not int or not 1 <= size <= MOST:
        raise InvalidText(field="size", problem=f"{size!r} is no number from 1 to {MOST}")
    asked = statement_of(statement)
    if not isinstance(asked, Select):
        raise NotMergeable(reason="a union is not looked into; ask for its parts one by one")
    _check_rows(asked)
    sources = sources_of(asked)
    keys = _unique(asked, sources, alone=alone)
    labels = [key.element.label(f"page_key_{n}") for n, key in enumerate(keys, start=1)]
    ordered = asked.order_by(None).order_by(*(_clause(key) for key in keys))
    if after is not None:
        ordered = ordered.where(_comes_after(keys, read_cursor(keys, after), sources))
    return _Paged(ordered.add_columns(*labels).limit(size + 1), keys, size)


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
    if unclear := names_of_bookkeeping(tables):
        raise NotMergeable(reason=f"keys of {', '.join(unclear)} repeat from shard to shard")
    keys = order_of(statement, named)
    for key in keys:
        if key.kind is Kind.FLOAT:
            raise NotMergeable(reason="a floating point number cannot mark where a page begins")
    places = [place_of(key.element) for key in keys]
    # In the direction of what comes before, so that an index on both can be followed.
    descending = bool(keys) and keys[-1].descending
    for source in tables:
        own = source.c.id
        if place_of(own) not in places:
            keys.append(OrderKey(own, comparable(own, "ORDER BY of"), descending, descending))
    return keys


def _clause(key: OrderKey) -> ColumnElement[Any]:
    ordered = key.element.desc() if key.descending else key.element.asc()
    return ordered.nulls_first() if key.nulls_first else ordered.nulls_last()


def _comes_after(
    keys: Sequence[OrderKey], values: Sequence[Any], sources: Sources
) -> ColumnElement[bool]:
    """Return the condition for the rows after one row."""
    if _is_one_comparison(keys, sources):
        row = tuple_(*(key.element for key in keys))
        bound = tuple_(*(_literal(key, value) for key, value in zip(keys, values, strict=True)))
        return row < bound if keys[0].descending else row > bound
    equal: list[ColumnElement[bool]] = []
    ways: list[ColumnElement[bool]] = []
    for key, value in zip(keys, values, strict=True):
        ways.append(and_(*equal, _is_after(key, value, sources)))
        equal.append(
            key.element.is_(None) if value is None else key.element == _literal(key, value)
        )
    # What follows from the rest, in a form that an index can be searched by.
    first = or_(_is_after(keys[0], values[0], sources), equal[0])
    return and_(first, or_(*ways))


def _is_one_comparison(keys: Sequence[OrderKey], sources: Sources) -> bool:
    """Tell whether PostgreSQL compares whole rows in this order: then an index answers at once."""
    return all(
        key.descending is keys[0].descending and not _can_be_null(key, sources) for key in keys
    )


def _is_after(key: OrderKey, value: Any, sources: Sources) -> ColumnElement[bool]:
    if value is None:
        return key.element.is_not(None) if key.nulls_first else false()
    bound = _literal(key, value)
    after = key.element < bound if key.descending else key.element > bound
    if key.nulls_first or not _can_be_null(key, sources):
        return after
    return or_(after, key.element.is_(None))


def _can_be_null(key: OrderKey, sources: Sources) -> bool:
    place = place_of(key.element)
    for condition in () if place is None else sources.conditions[place.source]:
        if isinstance(condition, BinaryExpression) and condition.operator is is_not:
            tested = place_of(condition.left)
            if tested == place and isinstance(condition.right, Null):
                return False
    return place is None or place.column.nullable is True or place.source in sources.optional


def _literal(key: OrderKey, value: Any) -> ColumnElement[Any]:
    type_: TypeEngine[Any] = key.element.type
    if key.kind is Kind.INTEGER:
        type_ = BigInteger()
    elif key.kind is Kind.C_TEXT:
        type_ = String()
    return literal(value, type_)
