"""Which region a row belongs to, and the ids that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper

from elearning.ids import new_id, parse_id, region_of
from elearning.models.base import Record
from elearning.regions import Region

__all__ = ["assign_id", "assign_ids", "home_of", "home_of_values"]


def home_of(row: Record) -> Region | None:
    """Return the region a row belongs to, as far as it can be told.

    From its id; else from its owner (profile ← user, module ← course,
    enrollment ← user, progress ← enrollment), as an object or by foreign key;
    else from its own ``region``.
    """
    loaded = inspect(row).dict
    if row_id := _id_of(row):
        return region_of(_as_uuid(row_id))
    if row.__owner__ is not None:
        owner = loaded.get(row.__owner__)
        if isinstance(owner, Record):
            return home_of(owner)
        owner_id = loaded.get(f"{row.__owner__}_id")
        if isinstance(owner_id, UUID | str):
            return region_of(_as_uuid(owner_id))
    region = loaded.get("region")
    return Region.parse(region) if region is not None else None


def home_of_values(model: type[Record] | Mapper[Any], values: Mapping[str, Any]) -> Region | None:
    """Return the region that the values of a row tell, by attribute names; see `home_of`."""
    cls = inspect(model).class_
    if not issubclass(cls, Record):
        return None
    for key in ("id", f"{cls.__owner__}_id"):
        if isinstance(one := values.get(key), UUID | str):
            return region_of(_as_uuid(one))
    region = values.get("region")
    return Region.parse(region) if region is not None else None


def assign_id(row: Record, default: Region | None) -> None:
    """Give a row an id where it has none.

    Args:
        row: a new row.
        default: the region to use where the row tells none (the session's).
    """
    if _id_of(row) is None:
        region = home_of(row) or default
        if region is not None:
            row.id = new_id(region)


def assign_ids(rows: Iterable[object], default: Region | None) -> None:
    """Give ids to all new rows of a flush, owners before what they own."""
    for row in rows:
        if isinstance(row, Record):
            chain = [row]
            while (owner := _pending_owner(chain[-1])) is not None:
                chain.append(owner)
            for one in reversed(chain):
                assign_id(one, default)


def _pending_owner(row: Record) -> Record | None:
    owner = inspect(row).dict.get(row.__owner__) if row.__owner__ and _id_of(row) is None else None
    return owner if isinstance(owner, Record) and _id_of(owner) is None else None


def _id_of(row: Record) -> UUID | str | None:
    """Return a row's id, also where its attributes are expired, as after a commit."""
    state = inspect(row)
    row_id: UUID | str | None = state.dict.get("id") or (
        state.identity[0] if state.identity else None
    )
    return row_id


def _as_uuid(value: UUID | str) -> UUID:
    # A column takes a text too.
    return value if isinstance(value, UUID) else parse_id(value)
