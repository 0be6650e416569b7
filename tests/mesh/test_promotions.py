"""A primary is lost, a replica takes its place, and a shard joins and leaves the settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import pytest
from alembic import command

from elearning.cluster.embedded import EmbeddedCluster, Topology
from elearning.cluster.health import check_health
from elearning.cluster.mesh import reconcile_mesh
from elearning.cluster.migrations import alembic_config
from elearning.config import Settings
from elearning.regions import Region
from elearning.routing import Engines
from elearning.testing.databases import CleanDatabases, migrated_cluster, wait_copied
from elearning.testing.switches import Switches
from tests.mesh.support import add_course, catalog, reconciled, rows, titles, told, until

pytestmark = pytest.mark.unmeasured

REGIONS = tuple(Region)
NA, EU = (1, 2), (3, 4, 5, 6)


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    """A cluster of two shards that publish and one without regions."""
    topology = Topology(shards={"na": REGIONS[:2], "eu": REGIONS[2:], "more": ()})
    with migrated_cluster(topology=topology) as (made, _):
        yield made


@pytest.fixture
def switches(cluster: EmbeddedCluster) -> Iterator[Switches]:
    """The switches of the cluster; afterwards all nodes have their first roles, and are empty."""
    with Switches(cluster) as opened:
        yield opened
    settings = now(cluster)
    with Engines(settings) as engines:
        clean = CleanDatabases(engines)
        clean()
        clean.close()
    assert reconcile_mesh(settings).ok


def now(cluster: EmbeddedCluster) -> Settings:
    """Return the settings that lead to the present primaries."""
    return Settings.from_mapping(cluster.environment())


def alike(settings: Settings) -> None:
    """Each shard has what it should, and what is written from now on reaches the others."""
    number = len(rows(settings, "na", "TABLE courses"))
    for region in ("north_america", "europe"):
        add_course(settings, region, f"After all, {region}")
    with Engines(settings) as engines:
        wait_copied(engines)
    for home, codes in (("na", NA), ("eu", EU)):
        for shard in ("na", "eu", "more"):
            assert catalog(settings, shard, *codes) == catalog(settings, home, *codes)
    assert len(rows(settings, "more", "TABLE courses")) == number + 2
    health = check_health(settings)
    assert all(copy.ok for copy in health.copies), health.copies
    assert len(health.copies) == 4


def test_copies_are_ahead_of_the_promoted_replica(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    before = now(cluster)
    add_course(before, "north_america", "Safe")
    switches.catch_up("na-replica-1")
    switches.kill("na-replica-1")
    lost = add_course(before, "north_america", "Lost")
    safe_only = "UPDATE courses SET title = 'Safe, later' WHERE title = 'Safe'"
    rows(before, "na", safe_only)
    for shard in ("eu", "more"):
        until(lambda shard=shard: titles(before, shard) == {"Safe, later", "Lost"})  # type: ignore[misc]
    switches.kill("na-primary")
    switches.restart("na-replica-1")
    switches.promote("na-replica-1")

    settings = now(cluster)
    assert titles(settings, "na") == {"Safe"}
    health = check_health(settings)
    assert not health.ok
    assert str(health.copies[0].problem).endswith(": run 'elearning reconcile'")
    # Home has lost the instructor, too: the row stays where it is, until he is back.
    report = reconcile_mesh(settings)
    assert f"courses {lost}" in report.problem
    assert titles(settings, "eu") == {"Safe", "Lost"}
    instructor = rows(settings, "eu", "SELECT instructor_id FROM courses WHERE id = %s", lost)[0][0]
    rows(
        settings,
        "na",
        "INSERT INTO users (id, region, email, first_name, last_name) "
        "VALUES (%s, 'north_america', 'back@example.com', 'Back', 'Again')",
        instructor,
    )
    report = reconciled(settings)
    assert "3 row(s) brought back home" in told(report)["na eu"]
    assert titles(settings, "na") == titles(settings, "more") == {"Safe", "Lost"}
    alike(settings)


def test_a_subscriber_is_promoted_that_had_received_less(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    before = now(cluster)
    switches.kill("eu-replica-1")
    add_course(before, "north_america", "Copied once")
    # Confirmed to its publisher: it will not be sent again.
    with Engines(before) as engines:
        wait_copied(engines)
    switches.kill("eu-primary")
    switches.restart("eu-replica-1")
    switches.promote("eu-replica-1")
    settings = now(cluster)
    assert titles(settings, "eu") == set()
    reconciled(settings)
    assert titles(settings, "eu") == {"Copied once"}
    alike(settings)


def test_a_promotion_without_loss_goes_on(cluster: EmbeddedCluster, switches: Switches) -> None:
    before = now(cluster)
    add_course(before, "europe", "Before")
    switches.catch_up("eu-replica-1")
    switches.kill("eu-primary")
    switches.promote("eu-replica-1")
    settings = now(cluster)
    # Written before anything is mended.
    add_course(settings, "europe", "Between")
    reconciled(settings)
    assert titles(settings, "na") == titles(settings, "more") == {"Before", "Between"}
    alike(settings)


def test_a_shard_joins_and_leaves(cluster: EmbeddedCluster, switches: Switches) -> None:
    all_three = now(cluster)
    two = replace(all_three, shards=all_three.shards[:2])
    slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical'"
    left = reconcile_mesh(two)
    assert left.ok
    assert {pair.action for pair in left.pairs} == {
        "nothing to do",
        "slot dropped: the settings have no such subscriber",
    }
    assert rows(two, "na", slots) == [(1,)]
    add_course(two, "europe", "While it was away")
    report = reconciled(all_three)
    assert told(report)["eu more"].startswith("copied: its slot is gone; 3 row(s)")
    assert rows(all_three, "more", "SELECT pubname FROM pg_publication") == []
    alike(all_three)


def test_revisions_are_taken_back_and_run_again(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    settings = now(cluster)
    add_course(settings, "europe", "Before")
    with Engines(settings) as engines:
        wait_copied(engines)
        for shard in settings.shards:
            # What 0007 would lose stops it; what is copied need not be counted.
            rows(settings, shard.name, "DELETE FROM course_statistics")
        wait_copied(engines)
    config = alembic_config(settings)
    told_of = StringIO()
    config.stdout = told_of
    command.downgrade(config, "-1")
    assert not check_health(settings).ok
    command.upgrade(config, "head")
    assert "na to eu: copied" in told_of.getvalue()
    assert not reconcile_mesh(settings).changed
    alike(settings)


def test_ports_change(cluster: EmbeddedCluster, switches: Switches) -> None:
    settings = now(cluster)
    na, eu, more = settings.shards
    assert eu.replication is not None
    moved = replace(eu, replication=eu.replication.set(host="localhost"))
    report = reconciled(replace(settings, shards=(na, moved, more)))
    assert told(report)["eu na"] == told(report)["eu more"] == "its connection was set"
    reconciled(settings)
    alike(settings)
