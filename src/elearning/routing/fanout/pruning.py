"""Which shards can have rows that a statement asks for, by the ids in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy.sql.elements import BinaryExpression, BindParameter, Grouping
from sqlalchemy.sql.operators import eq, in_op

from elearning.errors import InvalidId
from elearning.ids import parse_id, region_of
from elearning.routing.engines import Engines
from elearning.routing.fanout.locality import Locality

__all__ = ["homes_of"]


def homes_of(
    engines: Engines, locality: Locality, parameters: Mapping[str, Any]
) -> set[str] | None:
    """Return the shards that can have rows of the result; None: any.

    Only ``=`` and ``IN`` on an id, or on the owner's id, tell: an inequality or an OR names
    no region.

    Args:
        engines: the nodes of all shards.
        locality: where the statement's rows are.
        parameters: the values of its parameters.
    """
    homes: set[str] | None = None
    for condition in locality.sources.conditions[locality.root]:
        ids = _ids(condition, locality, parameters)
        if ids is not None:
            found = {engines.home(region_of(one)) for one in ids}
            homes = found if homes is None else homes & found
    return homes


def _ids(condition: object, locality: Locality, parameters: Mapping[str, Any]) -> list[UUID] | None:
    if not isinstance(condition, BinaryExpression) or condition.operator not in {eq, in_op}:
        return None
    sides = (condition.left, condition.right)
    for column, value in (sides, sides[::-1]):
        if locality.is_own(column):
            other: object = value
            while isinstance(other, Grouping):
                other = other.element
            if isinstance(other, BindParameter):
                return list(_read(parameters.get(other.key, other.effective_value)))
    return None


def _read(value: object) -> Iterator[UUID]:
    many: Iterable[object] = value if isinstance(value, list | tuple | set | frozenset) else [value]
    for one in many:
        # What is no id, or carries no region, is of no row.
        if isinstance(one, UUID | str):
            with suppress(InvalidId):
                yield parse_id(one)
