from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from time import monotonic

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.embedded.processes import wait_until
from elearning.cluster.health import HealthReport, check_health
from elearning.config import MongoSettings, Settings
from elearning.flows import Platform, SimulatedGateway, purchase, register
from elearning.models import HEAD, REVISIONS
from elearning.regions import Region
from elearning.routing import Engines
from tests.flows.conftest import Campus, make_campus
from tests.models.support import own_databases
from tests.snapshots import connect

LIMIT = 5.0


def health(settings: Settings) -> HealthReport:
    start = monotonic()
    report = check_health(settings)
    # A promise of the command, not a matter of speed.
    assert monotonic() - start < LIMIT
    assert report.seconds < LIMIT
    return report


def problems(report: HealthReport) -> dict[str, str | None]:
    return {node.name: node.problem for node in report.nodes if not node.ok}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_all_is_well(settings: Settings, empty_databases: None) -> None:
    report = health(settings)
    assert report.ok
    assert [(node.name, node.role) for node in report.nodes] == [
        ("na-primary", "primary"),
        ("na-replica-1", "replica"),
        ("eu-primary", "primary"),
        ("eu-replica-1", "replica"),
        ("asia-primary", "primary"),
        ("asia-replica-1", "replica"),
        ("mongodb", "primary"),
    ]
    assert all(node.latency_ms is not None for node in report.nodes)
    assert report.totals.missing == []
    assert report.totals.users == 0


async def test_totals_over_all_shards(
    platform: Platform, engines: Engines, settings: Settings
) -> None:
    campuses: list[Campus] = [
        make_campus(engines, region, price_minor=1000, currency=currency)
        for region, currency in (
            (Region.EUROPE, "EUR"),
            (Region.AFRICA, "EUR"),
            (Region.ASIA, "JPY"),
        )
    ]
    for campus in campuses:
        await purchase(platform, campus.user_id, campus.course_id, SimulatedGateway())
    from elearning.flows import NewUser  # noqa: PLC0415

    await register(
        platform,
        NewUser(region="oceania", email="x@example.com", first_name="X", last_name="Y"),
    )
    with_primaries = replace(
        settings, shards=tuple(replace(shard, replicas=()) for shard in settings.shards)
    )
    totals = health(with_primaries).totals
    assert (totals.users, totals.courses, totals.enrollments) == (7, 3, 0)
    assert totals.revenue == {"EUR": Decimal("20.00"), "JPY": Decimal(1000)}
    assert totals.documents == 1


@pytest.mark.parametrize("name", ["eu-replica-1", "asia-primary", "mongodb"])
def test_a_killed_node(settings: Settings, cluster: EmbeddedCluster, name: str) -> None:
    node = cluster.node(name)
    node.kill()
    try:
        report = health(settings)
    finally:
        node.start()
    assert list(problems(report)) == [name]
    assert not report.ok
    assert report.totals.missing == (["mongodb"] if name == "mongodb" else [])
    # The copies go on a moment after their servers.
    assert wait_until(lambda: health(settings).ok, 10)


@pytest.mark.parametrize("name", ["eu-replica-1", "asia-primary", "mongodb"])
def test_a_node_that_hangs(settings: Settings, cluster: EmbeddedCluster, name: str) -> None:
    node = cluster.node(name)
    node.pause()
    try:
        report = health(settings)
    finally:
        node.resume()
    assert list(problems(report)) == [name]


def test_hosts_that_never_answer(settings: Settings, silent_port: int) -> None:
    shards = tuple(
        replace(
            shard,
            primary=shard.primary.set(port=silent_port),
            replicas=tuple(url.set(port=silent_port) for url in shard.replicas),
        )
        for shard in settings.shards
    )
    mongodb = MongoSettings(f"mongodb://127.0.0.1:{silent_port}/x?directConnection=true", "x")
    report = health(Settings(shards, mongodb))
    assert len(problems(report)) == 7
    assert report.totals.missing == ["na", "eu", "asia", "mongodb"]


def test_a_node_in_the_wrong_role(settings: Settings) -> None:
    na, eu, asia = settings.shards
    swapped = replace(na, primary=na.replicas[0], replicas=(na.primary,))
    report = health(replace(settings, shards=(swapped, eu, asia)))
    assert problems(report) == {
        "na-primary": "is a replica, expected a primary",
        "na-replica-1": "is a primary, expected a replica",
    }


@pytest.mark.parametrize(
    ("revision", "problem"),
    [
        (REVISIONS[-2], f"is at revision {REVISIONS[-2]}, not at {HEAD}: 'elearning migrate'"),
        (None, f"is at revision none, not at {HEAD}: 'elearning migrate'"),
        ("9999", None),
        (HEAD, None),
    ],
)
def test_a_schema_of_another_release(
    settings: Settings, cluster: EmbeddedCluster, revision: str | None, problem: str | None
) -> None:
    na, _, asia = settings.shards
    with own_databases(cluster, settings, "health", "eu", at=revision and "head") as made:
        (eu,) = made.shards
        if revision is not None:
            with connect(eu.owner_url) as owner:
                owner.execute("UPDATE alembic_version SET version_num = %s", [revision])
        # Databases of two platforms do not copy from each other.
        apart = tuple(replace(each, replication=None) for each in (na, eu, asia))
        report = health(replace(settings, shards=apart))
    assert problems(report) == ({"eu-primary": problem} if problem else {})
    assert report.ok is (problem is None)


def test_a_wrong_password_is_not_told(settings: Settings) -> None:
    na, eu, asia = settings.shards
    wrong = replace(na, primary=na.primary.set(password="wr0ng"))
    report = health(replace(settings, shards=(wrong, eu, asia)))
    text = json.dumps(report.to_dict())
    assert "password authentication failed" in str(problems(report)["na-primary"])
    assert "wr0ng" not in text
    assert str(na.replicas[0].password) not in text
    assert settings.mongodb.url.split("@")[0].rsplit(":", 1)[1] not in text


def test_a_report_is_plain_json(settings: Settings, empty_databases: None) -> None:
    plain = json.loads(json.dumps(health(settings).to_dict()))
    assert plain["ok"] is True
    assert set(plain["nodes"][0]) == {"name", "role", "address", "ok", "latency_ms", "problem"}
    assert set(plain["totals"]) == {
        "users",
        "courses",
        "enrollments",
        "revenue",
        "documents",
        "missing",
    }
