"""Which statements only read, and so may run on a replica."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, CompoundSelect, Delete, Insert, Select, Update, inspect
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import (
    BinaryExpression,
    ColumnClause,
    ColumnElement,
    TextClause,
    UnaryExpression,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import custom_op

__all__ = ["READ_ONLY_FUNCTIONS", "obstacle", "only_reads"]

READ_ONLY_FUNCTIONS = frozenset(
    """
    abs any array array_agg avg bool_and bool_or btrim ceil char_length coalesce concat count
    cume_dist current_date current_timestamp date_part date_trunc dense_rank every extract
    first_value floor get_byte greatest grouping grouping_sets jsonb_agg jsonb_build_object lag
    last_value lead least left length localtime localtimestamp lower ltrim max min mod now ntile
    nullif percent_rank percentile_cont plainto_tsquery rank right round row_number rtrim
    search_number search_query split_part stddev string_agg strpos substr substring sum to_char
    to_tsquery to_tsvector trim ts_rank ts_rank_cd unnest upper uuid_send variance
    websearch_to_tsquery
    """.split()  # noqa: SIM905 - forty words read better without quotes
)
"""Functions that are known to read only; any other sends a statement to the primary."""
_HARMLESS = frozenset({"*", "1"})  # as in count(*), and EXISTS (SELECT 1 …)
# PostgreSQL manual, "Operators": of these characters alone.
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")


def only_reads(statement: object) -> bool:
    """Tell whether a statement is positively known to read."""
    return obstacle(statement) is None


def obstacle(statement: object) -> str | None:
    """Return what keeps a statement from being known to read; None: nothing.

    A plain SELECT has nothing of the kind: FOR UPDATE, data-modifying, text, hints, or a
    function that is not known.
    """
    if not isinstance(statement, Select | CompoundSelect):
        return _named(statement)
    parts = [statement, *_computed(statement)]
    found = (_obstacle(element) for part in parts for element in visitors.iterate(part))
    return next(filter(None, found), None)


def _computed(statement: Select[Any] | CompoundSelect[Any]) -> Iterator[ColumnElement[Any]]:
    """Yield what the entities of a SELECT compute, which does not stand in it (column_property)."""
    if isinstance(statement, Select):
        for each in statement.column_descriptions:
            entity = inspect(each.get("entity"), raiseerr=False)
            if entity is not None and each["expr"] is each["entity"]:
                for attribute in entity.mapper.column_attrs:
                    yield from (part for part in attribute.columns if not isinstance(part, Column))


def _obstacle(element: object) -> str | None:  # noqa: PLR0911 - a case each
    match element:
        case Select() | CompoundSelect() if element._for_update_arg is not None:  # noqa: SLF001 - there is no public name
            return "it locks rows"
        case Select() if element._prefixes or element._suffixes:  # noqa: SLF001
            return "it has a prefix or suffix"
        case Select() if element._hints or element._statement_hints:  # noqa: SLF001
            return "it has a hint"
        case FunctionElement():
            names = [str(name) for name in (*element.packagenames, element.name)]
            if len(names) != 1 or names[0].lower() not in READ_ONLY_FUNCTIONS:
                return f"the function {'.'.join(names)} is not known to read only"
        case TextClause() | Insert() | Update() | Delete():
            return _named(element)
        case ColumnClause() if element.is_literal and element.name not in _HARMLESS:
            return "a literal column may be anything"
        case (
            BinaryExpression(operator=custom_op() as operator)
            | UnaryExpression(operator=custom_op() as operator)
        ) if not _OPERATOR.fullmatch(operator.opstring):
            return f"the operator {operator.opstring!r} may be anything"
    return None


def _named(statement: object) -> str:
    return f"{type(statement).__name__.lower()} is not known to read only"
