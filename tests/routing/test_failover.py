"""A replica is promoted: it is followed without a restart, and the old primary never written to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import URL, select

from elearning.cluster.embedded import EmbeddedCluster, Topology
from elearning.config import Settings
from elearning.errors import NodeUnavailable
from elearning.flows import Platform
from elearning.models import User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.databases import migrated_cluster
from elearning.testing.switches import Switches
from tests.routing.loss import new_user, wait_until, with_limits, write
from tests.served import served


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[EmbeddedCluster, Settings]]:
    """One shard for all regions, with two replicas; every URL of the primary names all three."""
    topology = Topology({"all": [str(region) for region in Region]}, replicas=2)
    with migrated_cluster(topology=topology) as (cluster, settings):
        (shard,) = settings.shards
        hosts = [shard.primary, *shard.replicas]
        yield (
            cluster,
            with_limits(replace(settings, shards=(replace(shard, primary=several(hosts)),))),
        )


def several(urls: list[URL]) -> URL:
    # As settings lead to the one of several that is the primary.
    query = {
        "host": tuple(f"{url.host}:{url.port}" for url in urls),
        "target_session_attrs": "primary",
    }
    return urls[0].set(host=None, port=None, query=query)


@pytest.fixture
def switches(world: tuple[EmbeddedCluster, Settings]) -> Iterator[Switches]:
    with Switches(world[0]) as opened:
        yield opened


def can_write(engines: Engines, user_id: object) -> bool:
    try:
        write(engines, user_id, "After")  # type: ignore[arg-type]
    except NodeUnavailable:
        return False
    return True


def test_a_promoted_replica_is_followed(
    world: tuple[EmbeddedCluster, Settings], switches: Switches
) -> None:
    with Engines(world[1]) as engines:
        user_id = new_user(engines)
        before = write(engines, user_id, "Before")
        switches.kill("all-primary")
        with pytest.raises(NodeUnavailable):
            write(engines, user_id, "Lost")
        switches.promote("all-replica-1")
        assert wait_until(lambda: can_write(engines, user_id), 10)
        # The other replica follows it, and the one that was promoted is no replica any more.
        switches.follow("all-replica-2", "all-replica-1")
        after = write(engines, user_id, "Last")
        assert after["all"].timeline == before["all"].timeline + 1
        promoted, other = engines.replicas("all")
        assert wait_until(lambda: promoted.problem is not None and other.is_fit, 10)
        # What it was seen to have replayed before would do, too.
        assert wait_until(
            lambda: other.replayed is not None and other.replayed.timeline > before["all"].timeline,
            10,
        )
        with served(engines) as nodes:
            # A position of the old timeline may never come: the primary tells.
            with RoutingSession(engines=engines, token=before) as session:
                assert session.get_one(User, user_id).first_name == "Last"
            with RoutingSession(engines=engines, token=after, max_wait=10) as session:
                assert session.get_one(User, user_id).first_name == "Last"
        assert nodes == ["all-primary", "all-replica-2"]


async def test_a_former_primary_is_never_written_to(
    world: tuple[EmbeddedCluster, Settings], switches: Switches
) -> None:
    with Engines(world[1]) as engines:
        user_id = new_user(engines)
        write(engines, user_id)
        # Nobody fences it: two primaries take writes, and the old one comes first in the URL.
        switches.promote("all-replica-1", split_brain=True)
        switches.follow("all-replica-2", "all-replica-1")
        with Engines(world[1]) as fresh, RoutingSession(engines=fresh) as session:
            fresh.primary("all").former.add(fresh_address(world[1], 0))
            session.connection()
            session.close()
            # This process has seen the new timeline: whatever it connects to, it is not the old.
            fresh.primary("all").former.clear()
            fresh.primary("all").last_address = None
            fresh.primary("all").engine.dispose()
            for number in range(5):
                token = write(fresh, user_id, f"Name {number}")
                assert token["all"].timeline > 1
            assert fresh_address(world[1], 0) in fresh.primary("all").former
        # And one that only watches learns it from the replica that follows.
        assert wait_until(lambda: engines.primary("all").state.written.timeline > 1, 10)
        assert wait_until(lambda: can_write(engines, user_id), 10)
        assert write(engines, user_id)["all"].timeline > 1
    async with Platform(world[1]) as platform, platform.session("europe") as session:
        assert await session.scalar(select(User.id).where(User.id == user_id))


def fresh_address(settings: Settings, number: int) -> tuple[str, str]:
    host, port = settings.shards[0].primary.normalized_query["host"][number].split(":")
    return host, port
