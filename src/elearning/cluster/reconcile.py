"""Brings a shard in line with the settings and the models, after it was migrated."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, Executable, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from elearning.config import Shard
from elearning.errors import MigrationError
from elearning.models import HostedRegion, User
from elearning.models.grants import grant_statements
from elearning.models.routines import FUNCTIONS
from elearning.regions import Region

__all__ = ["reconcile", "reconcile_statements"]


def reconcile(connection: Connection, shard: Shard) -> None:
    """Write which regions a shard hosts, and grant each role what it needs.

    Ids of other regions are refused from then on. Running it again changes nothing.

    Raises:
        MigrationError: users of a region that is no longer hosted here would be left behind.
    """
    connection.execute(text("SET LOCAL lock_timeout = '2s'"))
    _refuse_to_strand(connection, shard)
    for statement in reconcile_statements(shard):
        connection.execute(statement)


def _refuse_to_strand(connection: Connection, shard: Shard) -> None:
    """Refuse settings that take a region from the shard that holds its people.

    Raises:
        MigrationError: there are users of such a region.
    """
    for code in connection.scalars(select(HostedRegion.region_code)).all():
        region = Region.from_code(code)
        if region not in shard.regions:
            people = select(User.id).where(User.region == region).limit(1)
            if connection.scalar(people) is not None:
                raise MigrationError(
                    shard=shard.name,
                    problem=f"it holds users of {region}, which the settings give to another "
                    "shard: move them before the region",
                )


def reconcile_statements(shard: Shard) -> Iterator[Executable]:
    """Yield the statements of `reconcile`."""
    codes = [region.code for region in shard.regions]
    hosted: ColumnElement[int] = HostedRegion.__table__.c.region_code
    yield delete(HostedRegion).where(hosted.not_in(codes))
    for code in codes:
        yield insert(HostedRegion).values(region_code=code).on_conflict_do_nothing()
    for statement in grant_statements(FUNCTIONS):
        yield text(statement.replace(":", r"\:"))
