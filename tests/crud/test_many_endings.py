"""Many enrollments end at once, in whatever order: nobody meets a deadlock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from elearning.config import Settings
from elearning.crud import delete_user, enroll_user, expire_enrollments
from elearning.models import Claim, ClaimStatus, CourseSeats
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, UserFactory, bound
from tests.snapshots import connect

COURSES, USERS = 8, 24


@pytest.fixture
def crowd(engines: Engines, empty_databases: None) -> list[UUID]:
    """Users who have seats in the same courses, each in an order of its own."""
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        courses = [course.id for course in CourseFactory.create_batch(COURSES, max_enrollments=99)]
        users = [user.id for user in UserFactory.create_batch(USERS)]
        for number, user_id in enumerate(users):
            turned = courses[number % COURSES :] + courses[: number % COURSES]
            for course_id in turned if number % 2 else reversed(turned):
                enroll_user(session, user_id, course_id)
        session.commit()
    return users


def in_a_transaction(engines: Engines, end: Callable[[RoutingSession], object]) -> None:
    with RoutingSession(engines=engines, region="europe") as session, session.begin():
        end(session)


def nothing_is_left(engines: Engines) -> None:
    with RoutingSession(engines=engines, region="europe", consistency="primary") as session:
        assert session.scalar(select(func.sum(CourseSeats.taken))) == 0
        assert set(session.scalars(select(Claim.status))) == {ClaimStatus.RELEASED}


def test_accounts_are_deleted(engines: Engines, crowd: list[UUID]) -> None:
    with ThreadPoolExecutor(6) as threads:
        done = [
            threads.submit(in_a_transaction, engines, partial(delete_user, user_id=each))
            for each in crowd
        ]
        for each in done:
            each.result(30)
    nothing_is_left(engines)


@pytest.mark.usefixtures("crowd")
def test_enrollments_expire(engines: Engines, settings: Settings) -> None:
    with connect(settings.shard("eu").owner_url) as owner:
        owner.execute("UPDATE enrollments SET expires_at = now() - random() * interval '1 hour'")

    def expire(session: RoutingSession) -> None:
        session.execute(text("SELECT pg_sleep(0.01)"))
        expire_enrollments(session, limit=16)

    with ThreadPoolExecutor(6) as threads:
        for each in [
            threads.submit(in_a_transaction, engines, expire)
            for _ in range(COURSES * USERS // 16 + 6)
        ]:
            each.result(30)
    in_a_transaction(engines, lambda session: expire_enrollments(session, limit=500))
    nothing_is_left(engines)
