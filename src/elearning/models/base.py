"""What all tables share: ids, times, versions, names of constraints, plain dictionaries."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import DateTime, FetchedValue, Integer, MetaData, func, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from elearning.models.types import Xid
from elearning.plain import to_dict

__all__ = ["Base", "Global", "Record", "Regional"]


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "idx_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: DateTime(timezone=True)}

    __secret__: ClassVar[frozenset[str]] = frozenset()
    """Attributes that `to_dict` never shows."""

    __internal__: ClassVar[frozenset[str]] = frozenset({"row_version"})
    """Attributes that `to_dict` does not know."""

    def to_dict(self, *fields: str, json: bool = False) -> dict[str, Any]:
        """Return what is loaded, or these fields; see `elearning.plain.to_dict`."""
        return to_dict(self, *fields, json=json)

    def __repr__(self) -> str:
        # Reads what is loaded, so that it is safe on expired and detached rows.
        loaded = inspect(self).dict
        return f"<{type(self).__name__} {loaded.get('id', 'without id')}>"


class Record(Base):
    """A row with an id that knows its region, and two times."""

    __abstract__ = True

    __owner__: ClassVar[str | None] = None
    """The relationship to the row whose region this one shares."""

    __counted_in__: ClassVar[str | None] = None
    """The relationship to the row that a trigger changes along with this one."""

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-10)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=10)
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        server_onupdate=FetchedValue(),
        sort_order=11,
        comment="kept by the trigger update_modified_timestamp",
    )


class Regional(Record):
    """A row that lives on its home shard only; xmin tells whether it changed."""

    __abstract__ = True

    @declared_attr
    def row_version(cls) -> Mapped[str]:  # noqa: N805 - a class-level attribute
        """Return the system column that changes with every UPDATE of the row."""
        return mapped_column("xmin", Xid(), system=True, server_default=FetchedValue())

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805
        return {
            "version_id_col": cls.row_version,
            "version_id_generator": False,
            "eager_defaults": True,
        }


class Global(Record):
    """A row that is copied to every shard and edited at home.

    A copy has another xmin than its original, hence a version column.
    """

    __abstract__ = True

    @declared_attr
    def row_version(cls) -> Mapped[int]:  # noqa: N805
        """Return the column that counts the edits of the row."""
        return mapped_column(
            "version", Integer, server_default="1", sort_order=12, comment="counts the edits"
        )

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805
        return {"version_id_col": cls.row_version, "eager_defaults": True}
