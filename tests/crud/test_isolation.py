"""What is counted under a lock is refused to a transaction that looks at an older state."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import select, text

from elearning.crud import (
    complete_transaction,
    create_refund,
    create_transaction,
    enroll_user,
    mark_lesson_complete,
)
from elearning.errors import IsolationTooHigh
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import TransactionFactory, UserFactory, bound
from tests.models.running import Running, make_running

Work = Callable[[RoutingSession, Running, UUID], object]


def enrolls(own: RoutingSession, running: Running, payment_id: UUID) -> None:
    user_id = own.scalar(select(User.id).where(User.email == "late@example.com"))
    assert user_id is not None
    enroll_user(own, user_id, running.course_id)


def refunds(own: RoutingSession, running: Running, payment_id: UUID) -> None:
    create_refund(own, payment_id)


def adds_a_lesson(own: RoutingSession, running: Running, payment_id: UUID) -> None:
    Running(own, running.course_id, running.module_id).add_lesson(position=9)


def adds_progress(own: RoutingSession, running: Running, payment_id: UUID) -> None:
    own.execute(
        text(
            "INSERT INTO lesson_progress (id, enrollment_id, lesson_id) "
            "SELECT new_id(3), id, :lesson FROM enrollments"
        ),
        {"lesson": running.lessons[1]},
    )


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize(
    "work", [enrolls, refunds, adds_a_lesson, adds_progress], ids=lambda work: work.__name__
)
def test_require_read_committed(
    session: RoutingSession, engines: Engines, work: Work, level: str
) -> None:
    running, payment_id = prepared(session)
    with RoutingSession(engines=engines, region="europe") as own:
        own.connection(execution_options={"isolation_level": level})
        with pytest.raises(IsolationTooHigh, match=level.lower()):
            work(own, running, payment_id)
    with RoutingSession(engines=engines, region="europe") as own, own.begin():
        work(own, running, payment_id)


def test_what_counts_nothing_goes_at_any_level(session: RoutingSession, engines: Engines) -> None:
    running, _ = prepared(session)
    enrollment_id = session.scalar(text("SELECT id FROM enrollments"))
    user_id = session.scalar(text("SELECT user_id FROM enrollments"))
    assert enrollment_id
    assert user_id
    with RoutingSession(engines=engines, region="europe") as own:
        own.connection(execution_options={"isolation_level": "SERIALIZABLE"})
        mark_lesson_complete(own, enrollment_id, running.lessons[0])
        payment = create_transaction(own, user_id, running.course_id, gateway="simulated")
        complete_transaction(own, payment.id, "g-2")
        own.commit()


def prepared(session: RoutingSession) -> tuple[Running, UUID]:
    """Make a course that somebody takes, without the second lesson's progress, and a payment."""
    running = make_running(session, 2)
    running.enroll()
    session.execute(
        text("DELETE FROM lesson_progress WHERE lesson_id = :lesson"),
        {"lesson": running.lessons[1]},
    )
    with bound(session):
        UserFactory.create(email="late@example.com")
        payment_id = TransactionFactory.create().id
    complete_transaction(session, payment_id, "g-1")
    session.commit()
    return running, payment_id
