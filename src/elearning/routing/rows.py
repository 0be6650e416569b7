"""Rows as a session returns them, made of plain rows of the database.

For each SELECT of entities the ORM sets up anew how their attributes are loaded, though for
plain ones that is always the same: all columns, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Dialect, Select, inspect
from sqlalchemy.orm import ColumnProperty, Mapper, QueryableAttribute, Session
from sqlalchemy.orm.attributes import instance_dict, instance_state, set_committed_value
from sqlalchemy.orm.util import AliasedInsp

from elearning.models import Record
from elearning.routing.quick import Quick, is_heard, quick_of
from elearning.routing.statements import Form, literals_of

__all__ = ["RowReader", "reader_of"]

Row = tuple[Any, ...]
_EAGER = {"joined", "selectin", "subquery", "immediate"}


class RowReader:
    """Reads what statements of a form return.

    Args:
        statement: of the form.
        quick: what executes it.

    Raises:
        LookupError: that takes the ORM.
    """

    def __init__(self, statement: Select[Any], quick: Quick) -> None:
        self.quick = quick
        self._parts: list[_Entity | int] = []
        self._entities: list[_Entity] = []
        self.names: Sequence[str] = [column.keyname for column in quick.columns]
        """Of the columns, as a result has them."""
        if _is_orm(statement):
            self._look_at(statement)

    def _look_at(self, statement: Select[Any]) -> None:
        columns = self.quick.columns
        places = {each: n for n, one in enumerate(columns) for each in _elements(one.objects)}
        start = 0
        described = statement.column_descriptions
        self.names = [each["name"] for each in described]
        for part in (each["expr"] for each in described):
            about = inspect(part, raiseerr=False)
            if isinstance(about, Mapper | AliasedInsp):
                entity = _Entity(part, about.mapper, places)
                if not all(start <= place < start + entity.width for place in entity.places):
                    raise LookupError(part)
                self._entities.append(entity)
                self._parts.append(entity)
                start += entity.width
            elif _is_column(part):
                self._parts.append(start)
                start += 1
            else:
                raise LookupError(part)
        if start != len(columns):
            raise LookupError(statement)

    def is_heard(self, session: Session) -> bool:
        """Tell whether somebody listens to what only the ORM's own loading tells."""
        return bool(self._entities) and (
            bool(session.dispatch.loaded_as_persistent)
            or any(
                entity.manager.dispatch.load or entity.manager.dispatch.refresh
                for entity in self._entities
            )
        )

    def read(
        self, session: Session, connection: Connection, values: dict[str, Any], most: int | None
    ) -> list[Row]:
        """Return the rows.

        Args:
            session: that is to hold them.
            connection: of its.
            values: of the statement's parameters.
            most: how many rows; None: all.
        """
        rows = self.quick.rows(connection, values, most)
        if not self._entities:
            return rows
        return [
            tuple(
                [
                    row[part] if isinstance(part, int) else part.item(session, row)
                    for part in self._parts
                ]
            )
            for row in rows
        ]


class _Entity:
    """A table's part of a row."""

    def __init__(self, entity: Any, mapper: Mapper[Any], places: Mapping[Any, int]) -> None:
        if not _is_plain(mapper):
            raise LookupError(entity)
        self.manager = mapper.class_manager
        self._class = mapper.class_
        self._keys = tuple(attribute.key for attribute in mapper.column_attrs)
        self._names = set(self._keys)
        self.places = [places[getattr(entity, key).__clause_element__()] for key in self._keys]
        self.width = len(self._keys)
        self._values = itemgetter(*self.places)
        (column,) = mapper.primary_key
        self._id = self.places[self._keys.index(mapper.get_property_by_column(column).key)]

    def item(self, session: Session, row: Row) -> Any:
        """Return the entity of a row, as the session holds it from here on."""
        row_id = row[self._id]
        if row_id is None:
            return None
        key = (self._class, (row_id,), None)
        held = session.identity_map.get(key)
        if held is not None:
            if not instance_dict(held).keys() >= self._names:
                self._complete(held, row)
            return held
        item = self.manager.new_instance()
        item.__dict__.update(zip(self._keys, self._values(row), strict=True))
        state = instance_state(item)
        state.key = key
        state.session_id = session.hash_key
        session.identity_map.add(state)
        return item

    def _complete(self, held: Any, row: Row) -> None:
        """Load what is missing; what is there stays, as the ORM has it."""
        loaded = instance_dict(held)
        for key, value in zip(self._keys, self._values(row), strict=True):
            if key not in loaded:
                set_committed_value(held, key, value)
        # Of relationships that were expired along: they are loaded by themselves, when asked for.
        instance_state(held).expired_attributes.clear()


def _elements(objects: Sequence[Any]) -> list[Any]:
    return [one for one in objects if isinstance(one, ColumnElement)]


def _is_column(part: Any) -> bool:
    if isinstance(part, QueryableAttribute):
        return isinstance(part.property, ColumnProperty)
    return isinstance(part, ColumnElement)


@cache
def _is_plain(mapper: Mapper[Any]) -> bool:
    return (
        issubclass(mapper.class_, Record)
        and mapper.inherits is None
        and mapper.polymorphic_on is None
        and len(mapper.primary_key) == 1
        and not mapper.always_refresh
        and all(isinstance(each.columns[0], Column) for each in mapper.column_attrs)
        and not any(each.deferred for each in mapper.column_attrs)
        and not any(each.lazy in _EAGER for each in mapper.relationships)
    )


def _is_orm(statement: Select[Any]) -> bool:
    return bool(statement._propagate_attrs)  # noqa: SLF001 - nothing public tells


def may_be_plain(statement: object, session: Session) -> bool:
    """Tell whether it is worth a look: a SELECT that asks nothing special of SQLAlchemy.

    Args:
        statement: what is to be executed.
        session: where; if it has something to flush, SQLAlchemy flushes it first.
    """
    return (
        isinstance(statement, Select)
        and not statement._execution_options  # noqa: SLF001 - there are no public names
        and not statement._with_options  # noqa: SLF001
        and session._is_clean()  # noqa: SLF001
    )


_SEEN = object()
_MOST = 50  # for one form: literal values may differ without end


def reader_of(statement: Select[Any], form: Form, connection: Connection) -> RowReader | None:
    """Return what reads the rows of statements of a form; None: SQLAlchemy does.

    A form that comes for the first time may be the last of its kind: it is not looked into.
    """
    literals = literals_of(form.binds)
    if form.kept is None or literals is None or is_heard(connection):
        return None
    kind = type(connection.dialect), literals
    found = form.kept.get(kind)
    if found is None and kind not in form.kept and len(form.kept) < _MOST:
        form.kept[kind] = _SEEN
    elif found is _SEEN:
        found = form.kept[kind] = _reader(statement, form, connection.dialect)
    return found if isinstance(found, RowReader) else None


def _reader(statement: Select[Any], form: Form, dialect: Dialect) -> RowReader | None:
    try:
        quick = quick_of(statement, form, dialect)
        return None if quick is None else RowReader(statement, quick)
    except LookupError:
        return None
