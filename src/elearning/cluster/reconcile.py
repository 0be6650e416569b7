"""Brings a shard's bookkeeping in line with the settings."""

from __future__ import annotations

from sqlalchemy import Connection, delete
from sqlalchemy.dialects.postgresql import insert

from elearning.config import Shard
from elearning.models import HostedRegion

__all__ = ["host_regions"]


def host_regions(connection: Connection, shard: Shard) -> None:
    """Write which regions a shard hosts; ids of others are refused from then on."""
    codes = [region.code for region in shard.regions]
    connection.execute(delete(HostedRegion).where(HostedRegion.region_code.not_in(codes)))
    if codes:
        connection.execute(
            insert(HostedRegion).on_conflict_do_nothing(),
            [{"region_code": code} for code in codes],
        )
