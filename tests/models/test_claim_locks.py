"""Whoever locks seats and claims does so in one order: the seats come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import Connection, func, select, text

from elearning.cluster.embedded.processes import wait_until
from elearning.ids import new_id
from elearning.models import Claim, CourseSeats
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, UserFactory, bound

_WAITS = text("SELECT cardinality(pg_blocking_pids(:pid)) > 0")


@pytest.fixture
def seat(session: RoutingSession) -> tuple[UUID, UUID, UUID]:
    """Return a course of two seats, who has one, and the claim."""
    with bound(session):
        user = UserFactory.create(region="europe")
        course = CourseFactory.create(max_enrollments=2)
    claim_id = new_id("europe")
    session.execute(select(func.claim_seat(claim_id, course.id, user.id)))
    session.commit()
    return course.id, user.id, claim_id


@contextmanager
def waiting_for_seats(
    engines: Engines, course_id: UUID, work: Callable[[Connection], object]
) -> Iterator[Connection]:
    """Lock a course's seats while somebody else works; return the connection that has them."""
    engine = engines.primary("eu").engine
    with (
        ThreadPoolExecutor(1) as thread,
        engine.connect() as first,
        engine.connect() as second,
        engine.connect() as third,
    ):
        first.execute(
            select(CourseSeats).where(CourseSeats.course_id == course_id).with_for_update()
        )
        pid = second.scalar(select(func.pg_backend_pid()))
        working = thread.submit(work, second)
        try:
            assert wait_until(lambda: third.scalar(_WAITS, {"pid": pid}), 10)
            yield first
            first.commit()
        finally:
            first.rollback()
            working.result(10)
            second.rollback()


def test_a_claim_waits_for_the_seats_first(
    root_engines: Engines, seat: tuple[UUID, UUID, UUID]
) -> None:
    course_id, _, _ = seat
    somebody = new_id("europe")
    claim = select(func.claim_seat(new_id("europe"), course_id, somebody))
    with waiting_for_seats(root_engines, course_id, lambda second: second.execute(claim)) as first:
        # As when a seat that comes free is given to the same person: nobody is in the way.
        first.execute(text("SET LOCAL lock_timeout = '2s'"))
        assert first.scalar(select(func.claim_seat(new_id("europe"), course_id, somebody)))


def test_a_release_waits_for_the_seats_first(
    root_engines: Engines, seat: tuple[UUID, UUID, UUID]
) -> None:
    course_id, _, claim_id = seat
    release = select(func.release_claim(claim_id))
    with waiting_for_seats(
        root_engines, course_id, lambda second: second.execute(release)
    ) as first:
        held = select(Claim.id).where(Claim.id == claim_id).with_for_update(nowait=True)
        assert first.scalar(held) == claim_id
