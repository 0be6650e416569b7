"""What the models tell about where rows are: beside which other rows, and on how many shards."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, FromClause, Table, func
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ColumnClause, Grouping
from sqlalchemy.sql.operators import and_, eq
from sqlalchemy.sql.selectable import Alias

from elearning.models import Base, Global, Record

__all__ = [
    "Place",
    "Standing",
    "conjuncts",
    "equated",
    "home_code",
    "is_global",
    "model_of",
    "place_of",
    "standing_beside",
    "table_of",
    "tells_region",
]


class Standing(IntEnum):
    """How the rows of a table stand to the row that a statement's results are counted by."""

    PRESENT = 1
    """On the same shard, and perhaps on others too: a copy."""
    ANCHORED = 2
    """On the same shard and counted on no other."""


class Place(NamedTuple):
    """A column of one table of a FROM clause."""

    source: FromClause
    column: Column[Any]


_MODELS: dict[str, type[Record]] = {
    mapper.local_table.name: mapper.class_
    for mapper in Base.registry.mappers
    if isinstance(mapper.local_table, Table) and issubclass(mapper.class_, Record)
}


def table_of(source: object) -> Table | None:
    """Return the table of ours behind a table or its alias; None for anything else."""
    while isinstance(source, Alias):
        source = source.element
    if not isinstance(source, Table):
        return None
    known = Base.metadata.tables.get(source.name)
    return known if known is not None and known == source else None


def model_of(table: Table | None) -> type[Record] | None:
    """Return the model of a table whose ids know their region."""
    return None if table is None else _MODELS.get(table.name)


def is_global(table: Table | None) -> bool:
    """Tell whether a table's rows are copied to every shard."""
    model = model_of(table)
    return model is not None and issubclass(model, Global)


def home_code(source: FromClause) -> ColumnElement[Any] | None:
    """Return the region's code of the rows of a table with copies; None: it has none."""
    table = table_of(source)
    if is_global(table):
        return func.get_byte(func.uuid_send(source.c.id), 7)
    home = None if table is None else table.info.get("home")
    return None if home is None else source.c[home]


def place_of(element: object) -> Place | None:
    """Return which column of which table of ours an expression is, if it is nothing else."""
    while isinstance(element, Grouping):
        element = element.element
    if not isinstance(element, ColumnClause) or element.table is None:
        return None
    table = table_of(element.table)
    for base in element.base_columns:
        if isinstance(base, Column) and table is not None and base.table is table:
            return Place(element.table, base)
    return None


def tells_region(column: Column[Any]) -> bool:
    """Tell whether a column always holds an id of its own row's region."""
    model = model_of(_owning(column))
    if model is None:
        return False
    # A root of the tree of subjects has no parent, and a branch may be of another region.
    return column.name == "id" or (column.name == f"{model.__owner__}_id" and not column.nullable)


def standing_beside(known: Standing, mine: Column[Any], other: Column[Any]) -> Standing | None:
    """Return how rows stand that equal a known row in a column; None: they may be elsewhere.

    Args:
        known: how the known row stands.
        mine: the column of the known row's table.
        other: the column of the other table that is equal to it.
    """
    if known is Standing.ANCHORED and tells_region(mine) and tells_region(other):
        return Standing.ANCHORED
    from_global, to_global = (is_global(_owning(column)) for column in (mine, other))
    forwards, backwards = _refers(mine, other), _refers(other, mine)
    if known is Standing.ANCHORED and not from_global and (forwards or backwards):
        # The shard itself enforces the foreign key.
        if not to_global:
            return Standing.ANCHORED
        return Standing.PRESENT if forwards else None
    same = tells_region(mine) and tells_region(other)
    if from_global and to_global and (forwards or backwards or same):
        return Standing.PRESENT
    return None


def conjuncts(clause: object) -> Iterator[object]:
    """Return the conditions of a clause that must all hold."""
    match clause:
        case None:
            return
        case BooleanClauseList() if clause.operator is and_:
            for part in clause.clauses:
                yield from conjuncts(part)
        case Grouping():
            yield from conjuncts(clause.element)
        case _:
            yield clause


def equated(condition: object) -> tuple[Place, Place] | None:
    """Return the two columns that a condition says to be equal."""
    if isinstance(condition, tuple):
        return condition
    if isinstance(condition, BinaryExpression) and condition.operator is eq:
        left, right = place_of(condition.left), place_of(condition.right)
        if left is not None and right is not None:
            return left, right
    return None


def _owning(column: Column[Any]) -> Table | None:
    table: object = column.table
    return table if isinstance(table, Table) else None


def _refers(column: Column[Any], to: Column[Any]) -> bool:
    return any(key.column is to for key in column.foreign_keys) and to.name == "id"
