"""The protocol without the row that decides: what the checker has to catch."""

from __future__ import annotations

from sqlalchemy import Connection, select

from elearning.crud import HeldClaim
from elearning.flows import Platform
from elearning.ids import region_of
from elearning.models import ClaimOutcome, ClaimResult

__all__ = ["look_only"]


async def look_only(platform: Platform, claim: HeldClaim) -> ClaimResult:
    """Decide by what is there, and write nothing: a claim may be used right after that."""
    shard = platform.engines.home(region_of(claim.holder_id))
    return await platform.on_primary(shard, _look, claim) or ClaimResult.RELEASED


def _look(connection: Connection, claim: HeldClaim) -> ClaimResult | None:
    return connection.scalar(select(ClaimOutcome.outcome).where(ClaimOutcome.claim_id == claim.id))
