"""What counts under a lock holds for a transaction too that looks at an older state."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from elearning.crud import complete_transaction, create_refund, enroll_user
from elearning.errors import ElearningError
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, TransactionFactory, UserFactory, bound

BEHIND = pytest.mark.xfail(
    reason="the row that is locked has not changed, so nothing tells that the count has",
    raises=pytest.fail.Exception,
)


def looking_back(engines: Engines) -> RoutingSession:
    """Return a session that sees nothing that is committed from now on."""
    session = RoutingSession(engines=engines, region="europe")
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    session.execute(text("SELECT 1 FROM users"))
    return session


@BEHIND
def test_two_refunds_of_one_payment(session: RoutingSession, engines: Engines) -> None:
    with bound(session):
        payment_id = TransactionFactory.create().id
    complete_transaction(session, payment_id, "g-1")
    session.commit()
    with looking_back(engines) as second:
        create_refund(session, payment_id)
        session.commit()
        with pytest.raises((ElearningError, DBAPIError)):
            create_refund(second, payment_id)


@BEHIND
def test_the_last_seat(session: RoutingSession, engines: Engines) -> None:
    with bound(session):
        course_id = CourseFactory.create(max_enrollments=1).id
        users = [user.id for user in UserFactory.create_batch(2)]
    session.commit()
    with looking_back(engines) as second:
        enroll_user(session, users[0], course_id)
        session.commit()
        with pytest.raises((ElearningError, DBAPIError)):
            enroll_user(second, users[1], course_id)
