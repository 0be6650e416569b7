"""Some courses are completed before others are taken, and some end by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from elearning.errors import PrerequisitesMissing
from elearning.models import Course, Enrollment, EnrollmentStatus
from elearning.routing import RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CoursePrerequisiteFactory,
    UserFactory,
    bound,
)
from tests.models.seats import Seats, make_seats


def complete(session: RoutingSession, enrollment_id: Any) -> None:
    session.execute(
        update(Enrollment)
        .where(Enrollment.id == enrollment_id)
        .values(status=EnrollmentStatus.COMPLETED, completion_date="2300-01-01")
    )


def test_enroll_user_after_what_comes_before(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create()
        course = CourseFactory.create(max_enrollments=1)
        before = [CoursePrerequisiteFactory.create(course=course).prerequisite for _ in range(2)]
    first, second = (Seats(session, each.id) for each in before)
    seats = Seats(session, course.id)
    missing = ", ".join(sorted(str(each.id) for each in before))
    with pytest.raises(PrerequisitesMissing, match=missing), session.begin_nested():
        seats.enroll(user.id)
    complete(session, first.enroll(user.id))
    begun = second.enroll(user.id)
    # Begun is not completed, and somebody else's completion does not help.
    complete(session, second.enroll(seats.somebody()))
    with pytest.raises(PrerequisitesMissing, match=f": {before[1].id}$"), session.begin_nested():
        seats.enroll(user.id)
    assert seats.taken == 0
    complete(session, begun)
    seats.enroll(user.id)
    assert seats.taken == 1


def test_a_prerequisite_that_is_taken_back(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create()
        prerequisite = CoursePrerequisiteFactory.create()
    session.delete(prerequisite)
    session.flush()
    Seats(session, prerequisite.course_id).enroll(user.id)


def test_who_has_begun_goes_on_when_a_prerequisite_is_added(session: RoutingSession) -> None:
    with bound(session):
        user, course = UserFactory.create(), CourseFactory.create()
    seats = Seats(session, course.id)
    enrollment_id = seats.enroll(user.id)
    with bound(session):
        CoursePrerequisiteFactory.create(course=course)
    complete(session, enrollment_id)
    seats.becomes(enrollment_id, EnrollmentStatus.ACTIVE)
    seats.drop(enrollment_id)
    with pytest.raises(PrerequisitesMissing):
        seats.enroll(user.id)


@pytest.mark.parametrize("days", [None, 1, 30])
def test_enroll_user_for_some_days(session: RoutingSession, days: int | None) -> None:
    seats = make_seats(session, 1, access_days=days)
    user_id = seats.somebody()
    enrollment_id = seats.enroll(user_id)
    left = select(
        func.extract("epoch", Enrollment.expires_at - func.clock_timestamp()) / 86_400
    ).where(Enrollment.id == enrollment_id)

    def check() -> None:
        assert session.scalar(left) == (None if days is None else pytest.approx(days, abs=1e-3))

    check()
    # Taken up again, the time begins anew.
    session.execute(text("UPDATE enrollments SET expires_at = '2001-01-01', status = 'expired'"))
    seats.enroll(user_id)
    check()
    # What is agreed stays, whatever becomes of the course.
    session.execute(update(Course).values(access_days=900))
    check()
