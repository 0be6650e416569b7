from __future__ import annotations

import pytest

from elearning.crud import (
    fail_transaction,
    get_course,
    get_enrollment,
    get_invoice,
    get_transaction,
    get_user,
    seats_of,
)
from elearning.errors import (
    CourseNotFound,
    EnrollmentNotFound,
    TransactionNotFound,
    TransactionNotPending,
    UserNotFound,
)
from elearning.ids import new_id
from elearning.models import TransactionStatus
from elearning.routing import RoutingSession
from elearning.testing.factories import CourseFactory, TransactionFactory, bound

STRANGER = new_id("europe")


def test_rows_that_are_not_there(session: RoutingSession) -> None:
    with pytest.raises(UserNotFound, match=str(STRANGER)):
        get_user(session, STRANGER)
    with pytest.raises(CourseNotFound, match=str(STRANGER)):
        get_course(session, STRANGER)
    with pytest.raises(EnrollmentNotFound, match=str(STRANGER)):
        get_enrollment(session, STRANGER)
    with pytest.raises(TransactionNotFound, match=str(STRANGER)):
        get_transaction(session, STRANGER)
    assert get_invoice(session, STRANGER) is None
    assert seats_of(session, STRANGER) is None


def test_a_payment_fails_once(session: RoutingSession) -> None:
    with bound(session):
        transaction = TransactionFactory.create()
    fail_transaction(session, transaction.id)
    session.refresh(transaction)
    assert transaction.status is TransactionStatus.FAILED
    with pytest.raises(TransactionNotPending, match="is failed"):
        fail_transaction(session, transaction.id)


def test_a_course_without_limit_always_has_a_seat(session: RoutingSession) -> None:
    with bound(session):
        course = CourseFactory.create()
        small = CourseFactory.create(max_enrollments=1)
    seats = seats_of(session, course.id)
    assert seats is not None
    assert seats.free
    few = seats_of(session, small.id)
    assert few is not None
    assert (few.limit, few.taken, few.free) == (1, 0, True)
