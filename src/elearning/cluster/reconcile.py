"""Brings a shard in line with the settings and the models, after it was migrated."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, Executable, delete, text
from sqlalchemy.dialects.postgresql import insert

from elearning.config import Shard
from elearning.models import HostedRegion
from elearning.models.grants import grant_statements
from elearning.models.routines import FUNCTIONS

__all__ = ["reconcile", "reconcile_statements"]


def reconcile(connection: Connection, shard: Shard) -> None:
    """Write which regions a shard hosts, and grant each role what it needs.

    Ids of other regions are refused from then on. Running it again changes nothing.
    """
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    for statement in reconcile_statements(shard):
        connection.execute(statement)


def reconcile_statements(shard: Shard) -> Iterator[Executable]:
    """Yield the statements of `reconcile`."""
    codes = [region.code for region in shard.regions]
    hosted: ColumnElement[int] = HostedRegion.__table__.c.region_code
    yield delete(HostedRegion).where(hosted.not_in(codes))
    for code in codes:
        yield insert(HostedRegion).values(region_code=code).on_conflict_do_nothing()
    for statement in grant_statements(FUNCTIONS):
        yield text(statement.replace(":", r"\:"))
