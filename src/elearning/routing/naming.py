"""Which ids a statement names, and so which region its rows belong to.

Such are the primary key and foreign keys to regional tables, compared by ``=`` or ``IN``; of an
INSERT, the values. Nothing else: an inequality or an OR names no region.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import cache
from typing import Any, TypeGuard
from uuid import UUID

from sqlalchemy import Column, CompoundSelect, Delete, Insert, Select, Table, Update
from sqlalchemy.orm import FromStatement, Load, RelationshipProperty
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ClauseElement,
    ColumnElement,
    Grouping,
)
from sqlalchemy.sql.lambdas import LambdaElement
from sqlalchemy.sql.selectable import AliasedReturnsRows

from elearning.errors import InvalidId
from elearning.models import Base, Global, Record, Regional

__all__ = ["Names", "Parameters", "ids_in", "inserted_ids", "names_of", "reads_copies"]

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

_KEPT_EVERYWHERE = frozenset({"course_popularity", "course_search"})
"""Tables that each shard fills for itself from what is copied: as near as a copy."""

_ALONG = frozenset({"joined", "subquery"})

_NO_IDS = (str, bytes, float, int, date, Mapping)

Names = tuple["BindParameter[Any] | tuple[Names, ...]", ...]
"""Where ids stand; a row has to be where each of these says. A tuple: in one of its parts."""


def names_of(statement: object) -> Names:
    """Return where a statement names ids; the same for all statements of its form."""
    if isinstance(statement, FromStatement):
        statement = statement.element
    # The rows of a table that is copied everywhere are near, unless nothing else is asked for.
    return _names(statement, globals_too=all(issubclass(each, Global) for each in _of(statement)))


def reads_copies(statement: object) -> bool:
    """Tell whether a statement asks for nothing but what is copied to every shard."""
    if isinstance(statement, FromStatement):
        statement = statement.element
    if not isinstance(statement, Select | CompoundSelect):
        return False
    models = [*_of(statement), *_joined_along(statement)]
    return bool(models) and all(issubclass(each, Global) for each in models)


def _joined_along(statement: Select[Any] | CompoundSelect[Any]) -> Iterator[type]:
    """Yield the models that loader options add to a statement; others are asked for afterwards."""
    for option in getattr(statement, "_with_options", ()):
        for element in option.context if isinstance(option, Load) else ():
            if dict(element.strategy or ()).get("lazy") in _ALONG:
                for step in element.path.path:
                    if isinstance(step, RelationshipProperty):
                        yield step.mapper.class_


def ids_in(names: Names, rows: Sequence[Mapping[str, Any]]) -> list[set[UUID]]:
    """Return the ids that stand there, by place.

    Args:
        names: where.
        rows: what the statement is executed with.
    """
    every = []
    for name in names:
        found: set[UUID] = set()
        if isinstance(name, BindParameter):
            for row in rows:
                _add_ids(found, _value(name, row))
        else:
            parts = [ids_in(part, rows) for part in name]
            if all(parts):
                found.update(*(ids for part in parts for ids in part))
        if found:
            every.append(found)
    return every


def _names(statement: object, *, globals_too: bool) -> Names:
    if isinstance(statement, CompoundSelect):
        return (tuple(_names(part, globals_too=globals_too) for part in statement.selects),)
    if not isinstance(statement, Select | Update | Delete):
        return ()
    found: Names = tuple(_compared(statement.whereclause, globals_too=globals_too))
    if _has_inner(statement) and (inner := _inner(statement)) is not None:
        found += _names(inner, globals_too=globals_too)
    return found


def _compared(where: object, *, globals_too: bool) -> Iterator[BindParameter[Any]]:
    """Yield what the conjuncts compare a key with by ``=`` or ``IN``."""
    for condition in _conjuncts(where):
        if isinstance(condition, BinaryExpression) and condition.operator in (
            operators.eq,
            operators.in_op,
        ):
            sides = (condition.left, condition.right)
            for column, side in (sides, sides[::-1]):
                other: object = side
                while isinstance(other, Grouping):
                    other = other.element
                if isinstance(other, BindParameter) and _tells_region(
                    column, globals_too=globals_too
                ):
                    yield other


def _has_inner(statement: Select[Any] | Update | Delete) -> TypeGuard[Select[Any]]:
    # What SQLAlchemy does to tell the FROM of a SELECT takes as long as to compile it.
    return isinstance(statement, Select) and any(
        isinstance(part, Select | CompoundSelect) and part is not statement
        for part in visitors.iterate(statement)
    )


def _inner(statement: Select[Any]) -> object | None:
    """Return the one SELECT that this one reads from, or is made of.

    So does ``Query.count()`` wrap a query, and ``select(exists(…))``.
    """
    inside: list[object] = []
    for source in statement.get_final_froms():
        element: object = source
        while isinstance(element, AliasedReturnsRows):  # a subquery, an alias of one
            element = element.element
        inside.append(element)
    if not inside:
        inside = [
            part
            for column in statement.selected_columns
            for part in visitors.iterate(column)
            if isinstance(part, Select)
        ]
    return inside[0] if len(inside) == 1 else None


def _conjuncts(clause: object) -> Iterator[object]:
    match clause:
        case None:
            return
        case BooleanClauseList() if clause.operator is operators.and_:
            for part in clause.clauses:
                yield from _conjuncts(part)
        case Grouping():
            yield from _conjuncts(clause.element)
        case LambdaElement():
            yield from _conjuncts(clause._resolved)  # noqa: SLF001 - there is no public name
        case _:
            yield clause


def _tells_region(column: object, *, globals_too: bool) -> bool:
    if not isinstance(column, ColumnElement):
        return False
    for base in column.base_columns:
        if isinstance(base, Column) and isinstance(base.table, Table):
            model = _MODELS.get(base.table.name)
            if model is not None and base.name in _keys(model):
                return globals_too or not issubclass(model, Global)
    return False


def _of(statement: object) -> Iterator[type]:
    """Yield the models of the tables that a statement reads or changes."""
    if isinstance(statement, Update | Delete):
        parts: Iterable[object] = [statement.table]
    else:
        parts = visitors.iterate(statement) if isinstance(statement, ClauseElement) else ()
    for part in parts:
        if isinstance(part, Table):
            yield Global if part.name in _KEPT_EVERYWHERE else _MODELS.get(part.name, Record)


@cache
def _keys(model: type[Record]) -> tuple[str, ...]:
    """Return the columns that tell a row's region, the surest first.

    A foreign key to a regional table is one: the row that it names is on the same shard.
    """
    owner = () if model.__owner__ is None else (f"{model.__owner__}_id",)
    others = (
        key.parent.name
        for key in model.metadata.tables[model.__tablename__].foreign_keys
        if key.column.name == "id"
        and issubclass(_MODELS.get(key.column.table.name, Record), Regional)
    )
    return tuple(dict.fromkeys(("id", *owner, *sorted(others))))


def _value(bind: BindParameter[Any], parameters: Mapping[str, Any]) -> object:
    if parameters and bind.key in parameters:
        return parameters[bind.key]
    return bind.effective_value


def _add_ids(found: set[UUID], value: object) -> None:
    if isinstance(value, UUID):
        found.add(value)
        return
    several = isinstance(value, Collection) and not isinstance(value, _NO_IDS)
    for each in value if several else (value,):  # type: ignore[attr-defined]  # told just now
        # selectinload passes rows of one column where the key is composite.
        one = _uuid(each[0] if isinstance(each, tuple) and each else each)
        if one is not None:
            found.add(one)


def _uuid(value: object) -> UUID | None:
    """Return a value as a UUID; None: it is NULL, or only PostgreSQL knows it.

    Raises:
        InvalidId: PostgreSQL would refuse to compare it with an id.
    """
    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        with suppress(ValueError):
            return UUID(value)
    if isinstance(value, _NO_IDS):
        raise InvalidId(id=repr(value)[:80])
    return None


def inserted_ids(statement: Insert, parameters: Parameters) -> set[UUID]:
    """Return an id of each row that is inserted, its own or its owner's."""
    if not isinstance(statement.table, Table) or statement.table.name not in _MODELS:
        return set()
    model = _MODELS[statement.table.name]
    rows: list[Mapping[Any, Any]] = (
        [parameters] if isinstance(parameters, Mapping) else list(parameters or ())
    )
    rows.append(
        {
            getattr(column, "key", column): value.value
            if isinstance(value, BindParameter)
            else value
            for column, value in (statement._values or {}).items()  # noqa: SLF001
        }
    )
    for several in statement._multi_values:  # noqa: SLF001
        rows += [
            {getattr(column, "key", column): value for column, value in row.items()}
            for row in several
            if isinstance(row, Mapping)
        ]
    found: set[UUID] = set()
    for row in rows:
        ids = [one for one in (_uuid(row.get(key)) for key in _keys(model)) if one is not None]
        # The primary key comes first; both tell the same region.
        found.update(ids[:1])
    return found


_MODELS: dict[str, type[Record]] = {
    mapper.local_table.name: mapper.class_
    for mapper in Base.registry.mappers
    if isinstance(mapper.local_table, Table) and issubclass(mapper.class_, Record)
}
