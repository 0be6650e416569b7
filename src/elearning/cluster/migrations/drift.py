"""Finds what somebody has changed on a shard by hand, or what a migration left undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import SQLAlchemyError

from elearning.cluster.migrations.access import check_database, owner_connection
from elearning.cluster.migrations.catalog import differences, expected_catalog, read_catalog
from elearning.config import Settings, Shard
from elearning.errors import ElearningError, MigrationError
from elearning.models import HEAD, REVISIONS, HostedRegion
from elearning.regions import Region

__all__ = ["Drift", "check_drift"]


_HOSTED = select(HostedRegion.region_code)
# As whoever wrote the catalog: a name is told with its schema, or in quotes, by settings.
_SETTINGS = text("SET LOCAL search_path = public; SET LOCAL quote_all_identifiers = off")


@dataclass(frozen=True, slots=True)
class Drift:
    """How a shard differs from head; ``error`` tells why that cannot be said."""

    shard: str
    revision: str | None
    differences: tuple[str, ...] = ()
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the shard is as it should be."""
        return self.error is None and not self.differences


def check_drift(settings: Settings, shards: Iterable[str] | None = None) -> Iterator[Drift]:
    """Compare each shard with what head says; nothing is changed.

    Args:
        settings: where the shards are, and which regions they host.
        shards: the names of some; default: all.

    Raises:
        SettingsError: no shard has one of these names.
    """
    chosen = settings.shards if shards is None else [settings.shard(name) for name in shards]
    for shard in chosen:
        try:
            with owner_connection(shard) as connection:
                drift = _compare(connection, shard)
        except (ElearningError, SQLAlchemyError) as error:
            drift = Drift(shard.name, None, error=str(error).splitlines()[0])
        yield drift


def _compare(connection: Connection, shard: Shard) -> Drift:
    revision = check_database(connection, shard, REVISIONS, HEAD, writes=False)
    if revision != HEAD:
        raise MigrationError(
            shard=shard.name,
            problem=f"is at {revision or 'no revision'} and not at {HEAD}: 'elearning migrate' "
            "brings it there",
        )
    connection.execute(_SETTINGS)
    found = differences(expected_catalog(connection), read_catalog(connection))
    found += _regions(connection, shard)
    return Drift(shard.name, revision, tuple(found))


def _regions(connection: Connection, shard: Shard) -> list[str]:
    hosted = {Region.from_code(code) for code in connection.scalars(_HOSTED)}
    wanted = set(shard.regions)
    return [
        f"region {region} is hosted, and not in the settings"
        if region in hosted
        else f"region {region} is in the settings, and not hosted"
        for region in Region
        if region in hosted ^ wanted
    ]
