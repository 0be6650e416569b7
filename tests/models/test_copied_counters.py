"""Counters that replication brings, beside what people do with the same course."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text

from elearning.config import Settings
from elearning.crud import add_review, enroll_user
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound
from tests.models.running import make_running
from tests.models.support import stops_another, until
from tests.snapshots import connect

COUNTERS = """
INSERT INTO course_statistics (course_id, region_code, enrollments) VALUES (%(course)s, %(code)s, 1)
"""
RATING = """
UPDATE course_statistics SET rating_sum = rating_sum + 5, total_ratings = total_ratings + 1
WHERE course_id = %(course)s AND region_code = %(code)s
"""


@pytest.fixture
def watch(engines: Engines) -> Iterator[Connection]:
    with engines.primary("eu").engine.connect() as connection:
        yield connection


@pytest.mark.parametrize("what", ["enroll", "review"])
def test_they_wait_for_people_and_people_for_them(
    session: RoutingSession, engines: Engines, settings: Settings, watch: Connection, what: str
) -> None:
    """One transaction of another shard holds an enrollment and, after it, a review."""
    running = make_running(session, 1)
    enrollment = running.enroll()
    with bound(session):
        other = UserFactory.create().id
    session.commit()
    values = {"course": running.course_id, "code": Region.ASIA.code}

    def do() -> None:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            if what == "enroll":
                enroll_user(own, other, running.course_id)
            else:
                add_review(own, enrollment, 3)

    with (
        connect(settings.shard("eu").owner_url) as worker,
        ThreadPoolExecutor(1) as thread,
        worker.transaction(),
    ):
        worker.execute("SET LOCAL session_replication_role = replica")
        worker.execute(COUNTERS, values)
        doing = thread.submit(do)
        pid = worker.info.backend_pid
        until(lambda: doing.done() or stops_another(watch, pid))
        worker.execute(RATING, values)
    doing.result()
    found = session.execute(
        text(
            "SELECT total_ratings, rating_sum, enrollments FROM courses "
            "JOIN course_popularity ON course_id = id WHERE id = :id"
        ),
        {"id": running.course_id},
    ).one()
    assert tuple(found) == ((1, 5, 3) if what == "enroll" else (2, 8, 2))
