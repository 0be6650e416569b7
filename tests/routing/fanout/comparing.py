"""A fan-out beside the same statement on one database."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Engine, Select
from sqlalchemy.orm import Session

from elearning.models import Base
from elearning.routing import Engines
from elearning.routing.fanout import fan_out

__all__ = ["agree", "asked_of_one", "told"]


def told(value: Any) -> Any:
    """Return a value with its type, and an entity by all that it holds."""
    if isinstance(value, tuple):
        return tuple(map(told, value))
    # 1.0 is no 1.00, and NaN is equal to NaN.
    return repr(sorted(value.to_dict().items()) if isinstance(value, Base) else value)


def asked_of_one(one: Engine, statement: Select[Any]) -> list[tuple[Any, ...]]:
    with Session(one) as session:
        return [told(tuple(row)) for row in session.execute(statement).all()]


def agree(
    engines: Engines,
    one: Engine,
    statement: Select[Any],
    *,
    ordered: int = 0,
    total: bool = False,
) -> list[Any]:
    """Compare the rows of both.

    Args:
        engines: of the shards.
        one: the database with all rows.
        statement: what is asked.
        ordered: how many of the last columns it is ordered by.
        total: whether no two rows are equal in that order.
    """
    found = fan_out(engines, statement, consistency="primary")
    assert not found.partial
    here = [told(tuple(row)) for row in found.all()]
    there = asked_of_one(one, statement)
    assert len(here) == len(there)
    if ordered:
        assert [row[-ordered:] for row in here] == [row[-ordered:] for row in there]
    if total:
        assert here == there
    elif statement._limit_clause is None and statement._offset_clause is None:
        assert Counter(here) == Counter(there)
    else:
        # Any of the rows that are equal in the order will do, each as often as it is there.
        everything = Counter(asked_of_one(one, statement.limit(None).offset(None)))
        assert not Counter(here) - everything
    return list(found.all())
