"""The checker finds what a broken protocol does: a recovery that looks, and writes no row.

The same turn of events with the row that decides leaves nothing wrong.
"""

from __future__ import annotations

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.errors import ClaimReleased
from elearning.flows import Platform, claims, enroll, recover
from elearning.ids import new_id
from elearning.regions import Region
from elearning.routing import Engines
from tests.campaigns.claims_broken import look_only
from tests.campaigns.claims_checker import seat_violations
from tests.campaigns.claims_crowd import databases_of
from tests.campaigns.claims_world import World, make_world


async def one_late_client(platform: Platform, world: World) -> None:
    """Claim the last seat in Asia, and use it when recovery has taken it and given it away."""
    late, course = world.users[Region.ASIA][0], world.courses[Region.EUROPE.code - 1]
    claim = await claims.claim_seat(platform, new_id(Region.ASIA), course, late)
    await recover(platform, age=0, adopt=False)
    await enroll(platform, world.users[Region.AFRICA][0], course)
    await platform.background.finish()
    await claims.use_seat(platform, claim)


@pytest.fixture
def databases(cluster: EmbeddedCluster) -> dict[str, str]:
    return databases_of(cluster)


@pytest.fixture
def world(platform: Platform, engines: Engines, databases: dict[str, str]) -> World:
    return make_world(engines, databases, courses=6, users=1)


async def test_a_recovery_that_only_looks_is_caught(
    platform: Platform,
    world: World,
    databases: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "decide", look_only)
    await one_late_client(platform, world)
    found = seat_violations(databases)
    assert any("oversold: 2 enrollments, limit 1" in each for each in found)
    assert any("1 seats taken, 1 claims, 2 enrollments" in each for each in found)
    assert any(each.startswith("enrolled without a confirmed claim") for each in found)


async def test_with_the_row_that_decides_nothing_is_wrong(
    platform: Platform, world: World, databases: dict[str, str]
) -> None:
    with pytest.raises(ClaimReleased):
        await one_late_client(platform, world)
    assert seat_violations(databases) == []
