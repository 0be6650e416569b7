"""What depends on the time zone that a server is set to: shards may be set differently."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Date, DateTime, Interval
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, Cast, ClauseElement, Extract
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import concat_op

from elearning.errors import NotMergeable
from elearning.routing.fanout.functions import CLOCKS, name_of

__all__ = ["check_zones"]

_WITH_ZONE = {"date_trunc": 3, "timezone": 2}
"""How many arguments functions of time have that name the zone."""

_AS_TEXT = {"concat", "json_agg", "jsonb_agg", "jsonb_build_object", "jsonb_object_agg"}
"""Functions that write their arguments as text."""


def check_zones(part: ClauseElement, parameters: Mapping[str, Any]) -> None:
    """Check that an expression, its parts aside, depends on no server's time zone.

    Args:
        part: the expression.
        parameters: the values of its parameters.

    Raises:
        NotMergeable: it does.
    """
    match part:
        case FunctionElement():
            name = name_of(part)
            wrong = len(part.clauses) < _WITH_ZONE.get(name, 0) or (
                name in _AS_TEXT and any(map(_is_moment, part.clauses))
            )
        case Cast():
            wrong = _is_moment(part.clause) or _is_moment(part)
        case Extract():
            wrong = not (
                isinstance(part.expr.type, Date | Interval)
                or (isinstance(part.expr, FunctionElement) and name_of(part.expr) == "timezone")
            )
        case BinaryExpression():
            wrong = _mixes(part)
        case BindParameter():
            value = parameters.get(part.key, part.effective_value)
            values = value if isinstance(value, list | tuple | set | frozenset) else (value,)
            wrong = any(isinstance(each, datetime) and each.tzinfo is None for each in values)
        case _:
            return
    if wrong:
        raise NotMergeable(
            reason=f"{part} depends on each server's time zone; use a datetime with a zone, or "
            "func.timezone('UTC', column)"
        )


def _mixes(operation: BinaryExpression[Any]) -> bool:
    """Tell whether a day, or a time without a zone, meets a moment, or days are added to one."""
    right = operation.right
    sides = [operation.left, *getattr(right, "clauses", [right])]
    if not any(map(_is_moment, sides)):
        return False
    return operation.operator is concat_op or any(
        isinstance(side.type, Date | DateTime | Interval)
        and not _is_moment(side)
        and not (isinstance(side, FunctionElement) and name_of(side) in CLOCKS)
        for side in sides
    )


def _is_moment(element: Any) -> bool:
    return isinstance(element.type, DateTime) and element.type.timezone
