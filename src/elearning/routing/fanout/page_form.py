"""What pages of one statement have in common: its order, and the statements that read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Select
from sqlalchemy.sql.cache_key import CacheKey

from elearning.errors import NotMergeable
from elearning.routing.fanout.page_order import (
    comes_after,
    has_values,
    mark_of,
    order_clause,
    page_order_of,
)
from elearning.routing.fanout.plan import statement_of
from elearning.routing.statements import literals_of

__all__ = ["PageForm", "form_alone", "form_merged", "named"]


class PageForm:
    """What the pages of one statement have in common; to build it takes longer than to read."""

    def __init__(self, asked: Select[Any], *, alone: bool) -> None:
        self.columns = asked._raw_columns  # noqa: SLF001 - nothing public has them as they are
        self.order = page_order_of(asked, alone=alone)
        described = asked.column_descriptions
        self.expressions = [each["expr"] for each in described]
        keys = self.order.keys
        labels = [key.element.label(f"page_key_{n}") for n, key in enumerate(keys, start=1)]
        self.names = [*(each["name"] for each in described), *(label.name for label in labels)]
        self._ordered = asked.order_by(None).order_by(*map(order_clause, keys)).add_columns(*labels)
        self._statements: dict[tuple[int, tuple[bool, ...]], Select[Any]] = {}

    def statement(self, size: int, values: Sequence[Any]) -> Select[Any]:
        """Return what asks for a page after some values, or for the first one."""
        # What is NULL is asked for in other words.
        way = (size, tuple(value is None for value in values))
        if (known := self._statements.get(way)) is not None:
            return known
        statement = self._ordered
        if values:
            marks = [
                None if value is None else mark_of(name, key)
                for (name, value), key in zip(named(values), self.order.keys, strict=True)
            ]
            statement = statement.where(comes_after(self.order, marks))
        statement = statement.limit(size + 1)
        if len(self._statements) < _MOST_SIZES:
            self._statements[way] = statement
        return statement


def named(values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Return the values of the last row's order keys with the names of their parameters."""
    for number, value in enumerate(values, start=1):
        yield f"page_after_{number}", value


_MOST_SIZES = 20
_MOST_FORMS = 500
_merged: WeakKeyDictionary[Select[Any], PageForm] = WeakKeyDictionary()
_alone: WeakKeyDictionary[Select[Any], tuple[PageForm, dict[str, Any]]] = WeakKeyDictionary()
"""By the very object: a statement that is used again is looked into once."""
_alike: dict[tuple[Any, ...], tuple[PageForm, Sequence[str]]] = {}
"""By what statements have in common that differ in the values of these parameters only."""


def form_alone(statement: Select[Any]) -> tuple[PageForm, dict[str, Any]]:
    """Return the form of a statement for one session, and the values of its parameters there.

    Raises:
        NotMergeable: it cannot be read by pages.
    """
    found = _alone.get(statement)
    if found is None:
        found = _alone[statement] = _shared(statement) or (
            PageForm(_checked(statement), alone=True),
            {},
        )
    return found


def _shared(statement: Select[Any]) -> tuple[PageForm, dict[str, Any]] | None:
    """Return a form that others made; None: one cannot be told from the others by its values."""
    key: CacheKey | None = statement._generate_cache_key()  # noqa: SLF001 - there is no public name
    literals = None if key is None else literals_of(key.bindparams)
    if key is None or literals is None or statement.get_execution_options():
        return None
    sent = [bind for bind in key.bindparams if not bind.literal_execute]
    if any(bind.callable for bind in sent) or len({bind.key for bind in sent}) < len(sent):
        return None
    known = _alike.get((key.key, literals))
    if known is None:
        form = PageForm(_checked(statement), alone=True)
        if has_values(form.order):
            # Cursors tell orders apart by their values, too.
            return form, {}
        if len(_alike) >= _MOST_FORMS:
            _alike.clear()
        known = _alike[key.key, literals] = form, [bind.key for bind in sent]
    form, keys = known
    columns = zip(form.columns, statement._raw_columns, strict=True)  # noqa: SLF001
    if not all(one is other for one, other in columns):
        # Rows are read by the very expressions.
        return None
    own = zip(keys, sent, strict=True)
    return form, {name: bind.value for name, bind in own if not bind.required}


def form_merged(statement: object) -> PageForm:
    """Return the form of a statement for several shards.

    Raises:
        NotMergeable: it is no SELECT that can be read by pages.
    """
    asked = _checked(statement)
    return _merged.get(asked) or _merged.setdefault(asked, PageForm(asked, alone=False))


def _checked(statement: object) -> Select[Any]:
    asked = statement_of(statement)
    if not isinstance(asked, Select):
        raise NotMergeable(reason="a union is not looked into; ask for its parts one by one")
    return asked
