"""What a statement tells by itself: whether it only reads, and which ids it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, CompoundSelect, Delete, Insert, Select, Table, Update
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

    A plain SELECT without FOR UPDATE, without data-modifying CTE, without text,
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
    if isinstance(statement, Insert):
        return _inserted(statement, parameters)
    if not isinstance(statement, Select | Update | Delete):
        return set()
    values = parameters if isinstance(parameters, Mapping) else {}
    for condition in _conjuncts(statement.whereclause):
        if isinstance(condition, BinaryExpression) and condition.operator in (
            operators.eq,
            operators.in_op,
        ):
            for column, other in (
                (condition.left, condition.right),
                (condition.right, condition.left),
            ):
                if _tells_region(column, globals_too=globals_too):
                    found = _ids(_values(other, values))
                    if found:
                        return found
    return set()


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
    return {value for value in flat if isinstance(value, UUID)}


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
    return {
        found
        for row in rows
        for found in [next((row[k] for k in _keys(model) if isinstance(row.get(k), UUID)), None)]
        if found is not None
    }


_MODELS: dict[str, type[Record]] = {
    mapper.local_table.name: mapper.class_
    for mapper in Base.registry.mappers
    if isinstance(mapper.local_table, Table) and issubclass(mapper.class_, Record)
}
