"""Enrollments and their seats, where the course's home is the user's shard too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import select, text

from elearning.crud import mark_lesson_complete
from elearning.errors import AlreadyEnrolled, ClaimReleased, CourseFull, SeatNotClaimed
from elearning.ids import new_id
from elearning.models import Course, Enrollment, EnrollmentStatus
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import EnrollmentFactory, UserFactory, bound
from tests.models.running import make_running
from tests.models.seats import Seats, make_seats


@pytest.fixture
def seats(session: RoutingSession) -> Seats:
    return make_seats(session, 1)


def test_enroll_user_takes_a_seat_and_confirms_it(seats: Seats) -> None:
    enrollment_id = seats.enroll(seats.somebody())
    claim_id = seats.claim_of(enrollment_id)
    assert (seats.status(claim_id), seats.outcome(claim_id)) == ("confirmed", "used")
    assert seats.taken == 1
    with pytest.raises(CourseFull, match="all 1 seats are taken"), seats.session.begin_nested():
        seats.enroll(seats.somebody())
    with pytest.raises(AlreadyEnrolled), seats.session.begin_nested():
        seats.enroll(seats.session.get_one(Enrollment, enrollment_id).user_id)
    assert seats.taken == 1


def test_enroll_user_without_limit_claims_nothing(seats: Seats) -> None:
    seats.limit(None)
    assert seats.claim_of(seats.enroll(seats.somebody())) is None
    assert seats.taken == 0


def test_enroll_user_with_a_claim(seats: Seats) -> None:
    user_id = seats.somebody()
    claim_id, _ = seats.claim(user_id, new_id("europe"))
    enrollment_id = seats.enroll(user_id, claim_id)
    # The same again, for the answer may have been lost.
    assert seats.enroll(user_id, claim_id) == enrollment_id
    assert (seats.claim_of(enrollment_id), seats.status(claim_id)) == (claim_id, "pending")
    assert seats.taken == 1


def test_enroll_user_with_a_claim_that_was_settled_before(seats: Seats) -> None:
    user_id = seats.somebody()
    claim_id, _ = seats.claim(user_id, new_id("europe"))
    assert seats.settle(claim_id, user_id) == "released"
    with pytest.raises(ClaimReleased, match=str(claim_id)), seats.session.begin_nested():
        seats.enroll(user_id, claim_id)
    # Nor without naming it, while its seat is not given back.
    with pytest.raises(ClaimReleased, match=str(claim_id)), seats.session.begin_nested():
        seats.enroll(user_id)
    seats.call("release_claim", claim_id)
    seats.enroll(user_id)
    assert seats.taken == 1


@pytest.mark.parametrize("status", [EnrollmentStatus.DROPPED, EnrollmentStatus.EXPIRED])
def test_give_back_seat_and_take_one_again(
    session: RoutingSession, status: EnrollmentStatus
) -> None:
    running = make_running(session, 2)
    seats = Seats(session, running.course_id)
    seats.limit(1)
    user_id = seats.somebody()
    enrollment_id = seats.enroll(user_id)
    mark_lesson_complete(session, enrollment_id, running.lessons[0])
    first = seats.claim_of(enrollment_id)
    seats.becomes(enrollment_id, status)
    assert (seats.taken, seats.claim_of(enrollment_id)) == (0, None)
    # Somebody else may have it meanwhile.
    other = seats.enroll(seats.somebody())
    with pytest.raises(CourseFull), session.begin_nested():
        seats.enroll(user_id)
    seats.drop(other)

    assert seats.enroll(user_id) == enrollment_id
    assert running.shown(enrollment_id) == "1/2 50.00 active"
    assert seats.taken == 1
    assert seats.claim_of(enrollment_id) not in (None, first)
    # A message about the first seat that comes late leaves the second one alone.
    seats.call("release_claim", first)
    assert seats.taken == 1


def test_give_back_seat_of_a_completed_course_never(session: RoutingSession) -> None:
    running = make_running(session, 1)
    seats = Seats(session, running.course_id)
    seats.limit(1)
    enrollment_id = seats.enroll(seats.somebody())
    claim_id = seats.claim_of(enrollment_id)
    mark_lesson_complete(session, enrollment_id, running.lessons[0])
    assert running.shown(enrollment_id) == "1/1 100.00 completed"
    assert (seats.claim_of(enrollment_id), seats.taken) == (claim_id, 1)
    running.undo(enrollment_id, running.lessons[0])
    assert (seats.claim_of(enrollment_id), seats.taken) == (claim_id, 1)


@pytest.mark.parametrize("table", ["enrollments", "users"])
def test_give_back_seat_of_what_is_deleted(seats: Seats, table: str) -> None:
    user_id = seats.somebody()
    claim_id = seats.claim_of(seats.enroll(user_id))
    column = "user_id" if table == "enrollments" else "id"
    seats.session.execute(text(f"DELETE FROM {table} WHERE {column} = :id"), {"id": user_id})
    assert (seats.status(claim_id), seats.outcome(claim_id)) == ("released", "released")
    assert seats.taken == 0


def test_give_back_seat_in_bulk(seats: Seats) -> None:
    seats.limit(5)
    for _ in range(5):
        seats.enroll(seats.somebody())
    assert seats.taken == 5
    seats.session.execute(text("UPDATE enrollments SET status = 'dropped'"))
    assert seats.taken == 0


def test_give_back_seat_is_seen_by_the_session(seats: Seats) -> None:
    enrollment = seats.session.get_one(Enrollment, seats.enroll(seats.somebody()))
    seats.session.commit()
    seen = [enrollment.claim_id]
    enrollment.status = EnrollmentStatus.DROPPED
    seats.session.flush()
    seen.append(enrollment.claim_id)
    assert [each is None for each in seen] == [False, True]
    seats.session.commit()


def test_a_factory_makes_no_enrollment_without_a_seat(seats: Seats) -> None:
    course = seats.session.get_one(Course, seats.course_id)
    with bound(seats.session):
        user = UserFactory.create()
        with pytest.raises(SeatNotClaimed), seats.session.begin_nested():
            EnrollmentFactory.create(user=user, course=course)
        EnrollmentFactory.create(user=user, course=course, status=EnrollmentStatus.DROPPED)
    seats.enroll(user.id)
    assert seats.taken == 1


def test_many_enroll_and_few_get_in(seats: Seats, engines: Engines) -> None:
    seats.limit(3)
    users = [seats.somebody() for _ in range(12)]
    seats.session.commit()

    def take(user_id: UUID) -> bool:
        with RoutingSession(engines=engines, region="europe") as own, suppress(CourseFull):
            Seats(own, seats.course_id).enroll(user_id)
            own.commit()
            return True
        return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, users)) == 3
    assert seats.taken == 3
    holders = select(Enrollment.id).where(Enrollment.course_id == seats.course_id)
    assert len(seats.session.scalars(holders).all()) == 3
