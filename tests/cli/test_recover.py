"""``elearning recover``, as an operator runs it."""

from __future__ import annotations

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.crud import claim_seat
from elearning.ids import new_id
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, UserFactory, bound
from tests.cli.test_cli import elearning
from tests.snapshots import connect


def people(engines: Engines, region: Region, email: str) -> None:
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        UserFactory.create(region=region, email=email)
        session.commit()


@pytest.mark.usefixtures("empty_databases")
def test_what_was_cut_off_is_ended(
    cluster: EmbeddedCluster, settings: Settings, engines: Engines
) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        course = CourseFactory.create(max_enrollments=1)
        session.flush()
        claim_seat(session, new_id("asia"), course.id, new_id("asia"))
        session.commit()
    young = elearning("recover", environment=cluster.environment())
    assert young.returncode == 0, young.stdout + young.stderr
    assert "claims settled: 0, made for rows without one: 1, forgotten: 0" in young.stdout
    assert "counters added up: " in young.stdout
    old = elearning("recover", "--age", "0", environment=cluster.environment())
    assert "claims settled: 1, made for rows without one: 0, forgotten: 0" in old.stdout
    with connect(settings.shard("eu").owner_url) as owner:
        assert owner.execute("SELECT taken FROM course_seats").fetchone() == (0,)


@pytest.mark.usefixtures("empty_databases")
def test_what_is_left_is_told(cluster: EmbeddedCluster, engines: Engines) -> None:
    for region in (Region.EUROPE, Region.ASIA):
        people(engines, region, "twice@example.com")
    done = elearning("recover", environment=cluster.environment(), measured=False)
    assert done.returncode == 1
    assert "has an address that another account claims: change one" in done.stderr
    assert "twice@example.com" not in done.stdout + done.stderr


@pytest.mark.usefixtures("empty_databases")
def test_a_new_key_of_addresses(cluster: EmbeddedCluster, engines: Engines) -> None:
    people(engines, Region.AFRICA, "ada@example.com")
    environment = cluster.environment()
    assert elearning("recover", environment=environment, measured=False).returncode == 0
    new = environment | {"ELEARNING_EMAIL_KEYS": "another-key-of-addresses"}
    done = elearning("recover", "--forget-old-email-keys", environment=new)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "made for rows without one: 1, forgotten: 1" in done.stdout
