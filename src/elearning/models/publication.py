"""What a shard publishes, for copies on all other shards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Table

from elearning.models.base import Base, Global
from elearning.models.types import HOME_CODE

__all__ = ["PUBLICATION", "CopiedTable", "copied_tables"]

PUBLICATION = "elearning_catalog"
"""The name of each shard's publication."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table whose rows are written at home and copied to every other shard.

    Attributes:
        name: of the table.
        columns: those that are copied; what each shard computes for itself is not.
        key: the columns of its primary key.
        home: SQL for the code of the region that a row belongs to.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    home: str

    def rows_of(self, codes: Iterable[int]) -> str:
        """Return the condition of the rows of some regions; the form that publications accept."""
        return f"{self.home} IN ({', '.join(map(str, sorted(codes)))})"


def copied_tables() -> tuple[CopiedTable, ...]:
    """Return the copied tables, referenced ones first."""
    catalog = {
        mapper.local_table.name  # type: ignore[attr-defined]  # a Table
        for mapper in Base.registry.mappers
        if issubclass(mapper.class_, Global)
    }
    return tuple(
        CopiedTable(
            table.name, tuple(_copied(table)), tuple(table.primary_key.columns.keys()), home
        )
        for table in Base.metadata.sorted_tables
        if (home := HOME_CODE if table.name in catalog else table.info.get("home"))
    )


def _copied(table: Table) -> Iterable[str]:
    left_out = table.info.get("not_copied", ())
    for column in table.columns:
        if column.computed is None and not column.system and column.name not in left_out:
            yield column.name
