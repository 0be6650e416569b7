"""The parts of a SELECT, by what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import CompoundSelect, Select
from sqlalchemy.sql.elements import (
    BindParameter,
    ClauseList,
    ColumnElement,
    _label_reference,
    _textual_label_reference,
)

from elearning.errors import InvalidText, NotMergeable
from elearning.routing.fanout.schema import place_of
from elearning.routing.fanout.screen import bare

__all__ = ["columns_of", "expressions_of", "grouped_by", "named_in", "number_of", "same"]


def expressions_of(statement: Select[Any] | CompoundSelect[Any]) -> list[object]:
    """Return what a statement selects, as it was written."""
    if isinstance(statement, CompoundSelect):
        return []
    return [description["expr"] for description in statement.column_descriptions]


def same(one: ColumnElement[Any], other: ColumnElement[Any]) -> bool:
    """Tell whether two expressions are the same, with the same values in them."""
    place = place_of(one)
    if one is other or (place is not None and place == place_of(other)):
        return True
    # compare() of SQLAlchemy fails on expressions of two entities.
    keys = [each._generate_cache_key() for each in (one, other)]  # noqa: SLF001
    if keys[0] is None or keys[1] is None or keys[0].key != keys[1].key:
        return False
    values = [[bind.effective_value for bind in key.bindparams] for key in keys if key]
    return bool(values[0] == values[1])


def columns_of(statement: Select[Any]) -> list[tuple[object, object]]:
    """Return what each place of a row holds: its name, and an expression or an entity."""
    found = []
    for description in statement.column_descriptions:
        expression = description["expr"]
        if hasattr(expression, "__clause_element__") and not isinstance(expression, type):
            expression = expression.__clause_element__()
        found.append((description["name"], expression))
    return found


def named_in(columns: list[tuple[object, object]]) -> dict[str, ColumnElement[Any]]:
    """Return expressions by their names; PostgreSQL refuses a name that two have."""
    return {str(name): element for name, element in columns if isinstance(element, ColumnElement)}


def grouped_by(clause: Any, named: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """Return the expressions of a clause of GROUP BY, which may be the name of a column.

    Raises:
        NotMergeable: the name names no column.
    """
    if isinstance(clause, _label_reference):
        clause = clause.element
    if isinstance(clause, _textual_label_reference):
        if clause.element not in named:
            raise NotMergeable(reason=f"GROUP BY {clause.element!r} names nothing that it selects")
        clause = named[clause.element]
    # SQLAlchemy takes a function, and an entity, for all of its columns.
    parts = clause.clauses if isinstance(clause, ClauseList) else [clause]
    return [bare(part) for part in parts]


def number_of(name: str, clause: object, parameters: Mapping[str, Any]) -> int | None:
    """Return the number of LIMIT or OFFSET, or None.

    Raises:
        NotMergeable: it is an expression.
        InvalidText: it is negative.
    """
    if clause is None:
        return None
    value = None
    if isinstance(clause, BindParameter):
        value = parameters.get(clause.key, clause.effective_value)
        if value is None:
            return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise NotMergeable(reason=f"{name} is no number; pass an int")
    if value < 0:
        raise InvalidText(field=name, problem=f"{value} is negative")
    return value
