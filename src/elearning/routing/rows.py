"""A row by its id, made of a plain row of the database.

For each SELECT of entities the ORM sets up anew how their attributes are loaded, though for one
row by its id that is always the same: all columns, and nothing else.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, Select, bindparam, inspect, select
from sqlalchemy.orm import Mapper, Session, make_transient_to_detached

from elearning.models import Base, Record

__all__ = ["RowLoader", "loader_of"]

_EAGER = {"joined", "selectin", "subquery", "immediate"}


class RowLoader:
    """Loads rows of one table.

    Args:
        mapper: whose attributes are columns of the table, all of them loaded at once.
    """

    def __init__(self, mapper: Mapper[Record]) -> None:
        self._manager = mapper.class_manager
        self._keys = tuple(attribute.key for attribute in mapper.column_attrs)
        columns = [attribute.columns[0] for attribute in mapper.column_attrs]
        self._statement: Select[Any] = select(*columns).where(
            mapper.primary_key[0] == bindparam("id")
        )

    def is_heard(self, session: Session) -> bool:
        """Tell whether somebody listens to what only the ORM's own loading tells."""
        events = session.dispatch
        return bool(
            events.do_orm_execute
            or events.loaded_as_persistent
            or events.detached_to_persistent
            or self._manager.dispatch.load
        )

    def load(self, session: Session, connection: Connection, row_id: UUID) -> Any:
        """Return the row of an id, which the session does not hold yet; None: there is none."""
        found = connection.execute(self._statement, {"id": row_id}).one_or_none()
        if found is None:
            return None
        row = self._manager.new_instance()
        state = inspect(row)
        state.dict.update(zip(self._keys, found, strict=True))
        make_transient_to_detached(row)
        # add() would look for rows that hang on this one, and there are none yet.
        session._save_or_update_impl(state)  # noqa: SLF001
        return row


def _is_plain(mapper: Mapper[Any]) -> bool:
    return (
        issubclass(mapper.class_, Record)
        and mapper.inherits is None
        and mapper.polymorphic_on is None
        and all(isinstance(each.columns[0], Column) for each in mapper.column_attrs)
        and not any(each.deferred for each in mapper.column_attrs)
        and not any(each.lazy in _EAGER for each in mapper.relationships)
    )


_LOADERS: dict[Any, RowLoader] = {
    mapper.class_: RowLoader(mapper) for mapper in Base.registry.mappers if _is_plain(mapper)
}


def loader_of(entity: Any) -> RowLoader | None:
    """Return what loads rows of a class, or None where that takes the ORM."""
    return _LOADERS.get(entity)
