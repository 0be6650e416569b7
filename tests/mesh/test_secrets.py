"""What does not leave home, and what no log holds."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.mesh import reconcile_mesh, subscription
from elearning.cluster.mesh.connecting import connect_owner, problem_of
from elearning.config import Settings
from elearning.routing import Engines, RoutingSession
from elearning.testing.databases import wait_copied
from elearning.testing.factories import (
    CourseFactory,
    CourseReviewFactory,
    PaymentMethodFactory,
    TransactionFactory,
    UserFactory,
    UserProfileFactory,
    bound,
)
from tests.mesh.support import folder_of
from tests.snapshots import connect

MARK = "zqpersonal"
PUBLIC = "zqpublicname"
SECRET = "zqpassword"
NODES = ("primary", "replica-1")


def holding(folder: Path, mark: str) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as all_:
                if all_.find(mark.encode()) >= 0:
                    yield path.name


def register_people(engines: Engines) -> None:
    """Write the mark into every column of eu that tells of a person."""
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        user = UserFactory.create(
            email=f"{MARK}-mail@example.com",
            first_name=f"{MARK}-first",
            last_name=f"{MARK}-last",
            password_hash=f"$argon2id${MARK}-hash",
        )
        UserProfileFactory.create(
            user=user,
            phone_number=f"{MARK}-phone",
            subdivision=f"{MARK}-state",
            city=f"{MARK}-city",
            bio=f"{MARK}-bio",
            avatar_url=f"https://example.com/{MARK}",
        )
        PaymentMethodFactory.create(
            user=user, brand=f"{MARK}-brand", billing_address=f"{MARK}-address"
        )
        course = CourseFactory.create(
            instructor__first_name=PUBLIC, instructor__email=f"{MARK}-teacher@example.com"
        )
        CourseReviewFactory.create(
            enrollment__user=user, enrollment__course=course, review_text=f"{MARK}-review"
        )
        TransactionFactory.create(user=user, course=course, gateway=f"{MARK}-gateway")
        session.commit()


@pytest.mark.usefixtures("empty_databases")
def test_personal_data_stays_at_home(
    settings: Settings, cluster: EmbeddedCluster, engines: Engines
) -> None:
    register_people(engines)
    wait_copied(engines)
    for shard in ("na", "eu", "asia"):
        with connect(_superuser(cluster, shard)) as connection:
            connection.execute("CHECKPOINT")
    assert set(holding(folder_of(cluster, "eu-primary"), MARK))
    for shard in ("na", "asia"):
        for node in NODES:
            folder = folder_of(cluster, f"{shard}-{node}")
            assert set(holding(folder, MARK)) == set()
        # The search finds what is there: the name under which a course is taught.
        assert set(holding(folder_of(cluster, f"{shard}-primary"), PUBLIC))


def test_no_log_holds_a_password(settings: Settings, cluster: EmbeddedCluster) -> None:
    na, eu, _ = settings.shards
    assert eu.replication is not None
    with connect(_superuser(cluster, "na")) as root:
        for parameter in ("log_statement = 'all'", "log_min_duration_statement = 0"):
            root.execute(f"ALTER SYSTEM SET {parameter}")
        root.execute("SELECT pg_reload_conf()")
    try:
        strange = replace(eu, replication=eu.replication.set(password=SECRET))
        with connect_owner(na) as connection:
            subscription.drop(connection, "elearning_from_eu")
            with pytest.raises(psycopg.Error) as caught:
                subscription.subscribe(connection, strange, na)
            assert "elearning_replicator" in str(caught.value)
            assert SECRET not in problem_of(caught.value)
        assert reconcile_mesh(settings).ok
    finally:
        with connect(_superuser(cluster, "na")) as root:
            root.execute("ALTER SYSTEM RESET ALL")
            root.execute("SELECT pg_reload_conf()")
    logs = [folder_of(cluster, f"{shard.name}-primary") / "server.log" for shard in settings.shards]
    # Its statements are in the log that hold no secret, as of the superuser.
    assert b"pg_reload_conf" in logs[0].read_bytes()
    for log in logs:
        assert SECRET.encode() not in log.read_bytes()
        assert str(eu.replication.password).encode() not in log.read_bytes()


def test_a_role_that_may_not_is_told(settings: Settings, cluster: EmbeddedCluster) -> None:
    right = "SET ON PARAMETER log_statement"
    with connect(_superuser(cluster, "na")) as root:
        root.execute(f"REVOKE {right} FROM elearning_owner")
    try:
        report = reconcile_mesh(settings)
    finally:
        with connect(_superuser(cluster, "na")) as root:
            root.execute(f"GRANT {right} TO elearning_owner")
    problems = [pair.problem for pair in report.pairs if pair.problem]
    assert len(problems) == 4
    assert all("let a superuser run roles.sql" in str(problem) for problem in problems)


def _superuser(cluster: EmbeddedCluster, shard: str) -> URL:
    return make_url(cluster.url(f"{shard}-primary", "postgres"))
