"""Pages over several shards, each begun after the last row of the one before.

No row is skipped or repeated when others come or go meanwhile, and the hundredth page
costs as much as the first. A row whose own order keys change moves, as it would by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select

from elearning.errors import ElearningError, InvalidText
from elearning.regions import Region
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.fanout.ask import OnShardError, Question, Terms, question
from elearning.routing.fanout.cursor import read_cursor, write_cursor
from elearning.routing.fanout.page_form import PageForm, form_alone, form_merged, named
from elearning.routing.fanout.result import FanOutResult
from elearning.routing.fanout.run import answer, answer_async
from elearning.routing.read_session import Reader, ReadSession
from elearning.routing.session import RoutingSession
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
    session: Reader,
    statement: Select[*tuple[Any, ...]],
    parameters: Mapping[str, Any] | None = None,
    *,
    size: int,
    after: str | None = None,
    region: Region | None = None,
) -> Page:
    """Return a page of what a statement asks of one session.

    Args:
        session: a session, which finds the node.
        statement: a SELECT of rows, in an order; the id of the first table is added to it, so
            that no two rows are equal: each row of the result has another one. An object that
            is used again is not looked into again.
        parameters: the values of its parameters.
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
    values = {**paged.given, **(parameters or {}), **paged.marks} or None
    if isinstance(session, RoutingSession | ReadSession):
        rows = session.rows(paged.statement, values, execution_options=options)
    else:
        rows = session.execute(paged.statement, values, execution_options=options).all()
    return paged.page(paged.form.names, rows, paged.form.expressions, shards=(), errors={})


class _Paged(NamedTuple):
    form: PageForm
    statement: Select[Any]
    """Of one row more than the page holds, with the order keys at the end."""
    marks: Mapping[str, Any]
    """The values of the parameters that tell where it begins."""
    size: int
    given: Mapping[str, Any]
    """Those of the statement's own parameters, where the form is another one's."""

    def ask(
        self,
        engines: Engines,
        parameters: Mapping[str, Any] | None,
        terms: Terms,
        *,
        asynchronous: bool,
    ) -> Question:
        if self.marks and (parameters is None or isinstance(parameters, Mapping)):
            parameters = {**(parameters or {}), **self.marks}
        return question(engines, self.statement, parameters, terms, asynchronous=asynchronous)

    def read(self, found: FanOutResult) -> Page:
        return self.page(
            found.keys(),
            found.all(),
            found.expressions,
            shards=found.shards,
            errors=found.errors,
        )

    def page(
        self,
        names: Sequence[str],
        rows: Sequence[Sequence[Any]],
        expressions: Sequence[object],
        *,
        shards: tuple[str, ...],
        errors: Mapping[str, ElearningError],
    ) -> Page:
        order = self.form.order
        shown = len(names) - len(order.keys)
        following = None
        if len(rows) > self.size:
            following = write_cursor(order.keys, rows[self.size - 1][shown:], order.name)
        page = FanOutResult(
            names[:shown],
            expressions[:shown],
            [row[:shown] for row in rows[: self.size]],
            shards=shards,
            errors=errors,
        )
        return Page(page, following)


def _paged(statement: object, size: int, after: str | None, *, alone: bool = False) -> _Paged:
    if type(size) is not int or not 1 <= size <= MOST:
        raise InvalidText(field="size", problem=f"{size!r} is no number from 1 to {MOST}")
    given: dict[str, Any] = {}
    if alone and isinstance(statement, Select):
        form, given = form_alone(statement)
    else:
        form = form_merged(statement)
    values: Sequence[Any] = ()
    if after is not None:
        values = read_cursor(form.order.keys, after, form.order.name)
    marks = {name: value for name, value in named(values) if value is not None}
    return _Paged(form, form.statement(size, values), marks, size, given)
