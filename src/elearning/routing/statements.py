"""What a statement tells by itself: whether it only reads, and which ids it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import Column, CompoundSelect, Delete, Insert, Select, Table, Update
from sqlalchemy.orm import FromStatement
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnClause,
    ColumnElement,
    Grouping,
    TextClause,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import AliasedReturnsRows

from elearning.models import Base, Global, Record

__all__ = ["named_ids", "only_reads"]

READ_ONLY_FUNCTIONS = frozenset(
    """
    abs array_agg avg bool_and bool_or btrim ceil char_length coalesce concat count cume_dist
    current_date current_timestamp date_part date_trunc dense_rank every extract first_value
    floor get_byte greatest jsonb_agg jsonb_build_object lag last_value lead least left length
    localtime localtimestamp lower ltrim max min mod now ntile nullif percent_rank
    percentile_cont plainto_tsquery rank right round row_number rtrim split_part
    stddev string_agg strpos substr substring sum to_char to_tsquery to_tsvector trim ts_rank
    unnest upper uuid_send variance websearch_to_tsquery
    """.split()  # noqa: SIM905 - forty words read better without quotes
)
"""Functions that are known to read only; any other sends a statement to the primary."""


def only_reads(statement: object) -> bool:
    """Tell whether a statement is positively known to read.

    A plain SELECT without FOR UPDATE, without data-modifying without text,
    hints or functions that are not known. Whatever is unclear does not count.
    """
    if not isinstance(statement, Select | CompoundSelect):
        return False
    return all(_harmless(element) for element in visitors.iterate(statement))


def _harmless(element: object) -> bool:
    match element:
        case Select():
            return (
                element._for_update_arg is None  # noqa: SLF001 - there is no public name
                and not (element._prefixes or element._suffixes)  # noqa: SLF001
                and not (element._hints or element._statement_hints)  # noqa: SLF001
            )
        case CompoundSelect():
            return element._for_update_arg is None  # noqa: SLF001
        case FunctionElement():
            names = (*element.packagenames, element.name)
            return len(names) == 1 and str(names[0]).lower() in READ_ONLY_FUNCTIONS
        case TextClause() | Insert() | Update() | Delete():
            return False
        case ColumnClause():
            # count(*) holds a literal of its own.
            return not element.is_literal or element.name == "*"
    return True


def named_ids(
    statement: object,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    *,
    globals_too: bool,
) -> set[UUID]:
    """Return ids of one conjunct of the statement that tell its rows' region.

    Such are the primary key and the foreign key to the owner, compared by ``=``
    or ``IN``; of an INSERT, the values. Nothing else: an inequality or an OR
    names no region.

    Args:
        statement: what is executed.
        parameters: what it is executed with.
        globals_too: whether ids of tables that are copied everywhere count.
    """
    if isinstance(statement, FromStatement):
        statement = statement.element
    if isinstance(statement, Insert):
        return _inserted(statement, parameters)
    if isinstance(statement, CompoundSelect):
        parts = [named_ids(part, parameters, globals_too=globals_too) for part in statement.selects]
        return set().union(*parts) if all(parts) else set()
    if not isinstance(statement, Select | Update | Delete):
        return set()
    found = _compared(statement.whereclause, parameters, globals_too=globals_too)
    if not found and isinstance(statement, Select):
        return _ids_inside(statement, parameters, globals_too=globals_too)
    return found


def _compared(
    where: object,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    *,
    globals_too: bool,
) -> set[UUID]:
    """Return the ids of the first conjunct that compares a key by ``=`` or ``IN``."""
    rows = [parameters] if isinstance(parameters, Mapping) else list(parameters or ({},))
    for condition in _conjuncts(where):
        if not isinstance(condition, BinaryExpression) or condition.operator not in (
            operators.eq,
            operators.in_op,
        ):
            continue
        sides = (condition.left, condition.right)
        for column, other in (sides, sides[::-1]):
            if _tells_region(column, globals_too=globals_too):
                found = {one for row in rows for one in _ids(_values(other, row))}
                if found:
                    return found
    return set()


def _ids_inside(
    statement: Select[Any],
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    *,
    globals_too: bool,
) -> set[UUID]:
    """Return the ids of the one SELECT that this one reads from, or is made of.

    So does ``Query.count()`` wrap a query, and ``select(exists(…))``.
    """
    inside: list[object] = []
    for source in statement.get_final_froms():
        element: object = source
        while isinstance(element, AliasedReturnsRows):  # a subquery, a an alias of one
            element = element.element
        inside.append(element)
    if not inside:
        inside = [
            part
            for column in statement.selected_columns
            for part in visitors.iterate(column)
            if isinstance(part, Select)
        ]
    if len(inside) != 1:
        return set()
    return named_ids(inside[0], parameters, globals_too=globals_too)


def _conjuncts(clause: object) -> Iterator[object]:
    match clause:
        case None:
            return
        case BooleanClauseList() if clause.operator is operators.and_:
            for part in clause.clauses:
                yield from _conjuncts(part)
        case Grouping():
            yield from _conjuncts(clause.element)
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


def _keys(model: type[Record]) -> tuple[str, ...]:
    return ("id",) if model.__owner__ is None else ("id", f"{model.__owner__}_id")


def _values(clause: object, parameters: Mapping[str, Any]) -> Iterable[object]:
    if isinstance(clause, Grouping):
        return _values(clause.element, parameters)
    if not isinstance(clause, BindParameter):
        return ()
    value = parameters.get(clause.key, clause.effective_value)
    return value if isinstance(value, list | tuple | set | frozenset) else (value,)


def _ids(values: Iterable[object]) -> set[UUID]:
    # selectinload passes rows of one column where the key is composite.
    flat = (value[0] if isinstance(value, tuple) and value else value for value in values)
    return {one for one in map(_uuid, flat) if one is not None}


def _uuid(value: object) -> UUID | None:
    if isinstance(value, UUID):
        return value
    with suppress(ValueError):
        return UUID(value) if isinstance(value, str) else None
    return None


def _inserted(
    statement: Insert, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
) -> set[UUID]:
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
