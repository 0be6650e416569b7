from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from elearning.crud import (
    complete_refund,
    complete_transaction,
    create_refund,
    create_transaction,
    fail_transaction,
)
from elearning.errors import (
    CourseNotOpen,
    ElearningError,
    InvalidAmount,
    InvalidInput,
    RefundRefused,
    TransactionNotFound,
)
from elearning.ids import new_id
from elearning.models import Course, CourseStatus, Transaction, TransactionStatus, TransactionType
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import PaymentMethodFactory, TransactionFactory, bound
from tests.models.support import pid_of, stops_another, until
from tests.snapshots import Snapshot


@pytest.fixture
def payment_id(session: RoutingSession) -> UUID:
    """A completed payment of 49 euros."""
    with bound(session):
        card = PaymentMethodFactory.create()
        payment = TransactionFactory.create(user=card.user, payment_method=card)
    complete_transaction(session, payment.id, "g-1")
    session.commit()
    return payment.id


def test_a_whole_refund(session: RoutingSession, payment_id: UUID) -> None:
    refund = create_refund(session, payment_id)
    session.commit()
    payment = session.get_one(Transaction, payment_id)
    assert refund.transaction_type is TransactionType.REFUND
    assert refund.status is TransactionStatus.PENDING
    assert refund.refund_of_id == payment_id
    assert refund.id != payment_id
    for name in (
        "amount_minor",
        "currency",
        "user_id",
        "course_id",
        "payment_method_id",
        "gateway",
    ):
        assert getattr(refund, name) == getattr(payment, name), name
    assert payment.status is TransactionStatus.COMPLETED


def test_refunds_in_parts(session: RoutingSession, payment_id: UUID) -> None:
    amounts = [
        create_refund(session, payment_id, amount=amount).amount_minor
        for amount in ("19.99", 29, Decimal("0.01"))
    ]
    assert amounts == [1999, 2900, 1]
    with pytest.raises(RefundRefused, match="is of 4900, and 4900 of it is refunded"):
        create_refund(session, payment_id, amount="0.01")


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        ("49.01", RefundRefused),
        ("-1", InvalidAmount),
        ("0.001", InvalidAmount),
        ("many", InvalidAmount),
    ],
)
def test_an_amount_that_cannot_be_refunded(
    session: RoutingSession,
    payment_id: UUID,
    snapshot: Snapshot,
    amount: Any,
    error: type[ElearningError],
) -> None:
    before = snapshot()
    with pytest.raises(error):
        create_refund(session, payment_id, amount=amount)
    session.commit() if error is InvalidAmount else session.rollback()
    assert snapshot() == before


def test_a_failed_refund_frees_its_amount(session: RoutingSession, payment_id: UUID) -> None:
    first = create_refund(session, payment_id)
    with pytest.raises(RefundRefused), session.begin_nested():
        create_refund(session, payment_id)
    fail_transaction(session, first.id)
    second = create_refund(session, payment_id)
    complete_refund(session, second.id, "g-2")
    with pytest.raises(RefundRefused):
        create_refund(session, payment_id, amount=1)


def test_a_payment_that_is_not_completed(session: RoutingSession) -> None:
    with bound(session):
        payment = TransactionFactory.create()
    with pytest.raises(RefundRefused, match="it is pending"), session.begin_nested():
        create_refund(session, payment.id)
    fail_transaction(session, payment.id)
    with pytest.raises(RefundRefused, match="it is failed"):
        create_refund(session, payment.id)


def test_a_refund_of_a_refund(session: RoutingSession, payment_id: UUID) -> None:
    refund = create_refund(session, payment_id, amount=1)
    complete_refund(session, refund.id, "g-2")
    with pytest.raises(RefundRefused, match="is a refund itself"):
        create_refund(session, refund.id)


def test_a_refund_of_nothing(session: RoutingSession) -> None:
    stranger = new_id("europe")
    with pytest.raises(TransactionNotFound, match=str(stranger)):
        create_refund(session, stranger)


def test_a_course_that_is_sold_no_more_is_refunded(
    session: RoutingSession, payment_id: UUID
) -> None:
    session.execute(update(Course).values(status=CourseStatus.ARCHIVED, archived_at=func.now()))
    payment = session.get_one(Transaction, payment_id)
    assert payment.course_id is not None
    with pytest.raises(CourseNotOpen):
        create_transaction(session, payment.user_id, payment.course_id, gateway="simulated")
    assert create_refund(session, payment_id).amount_minor == 4900


def test_create_transaction_makes_no_refunds(
    session: RoutingSession, payment_id: UUID, snapshot: Snapshot
) -> None:
    payment = session.get_one(Transaction, payment_id)
    assert payment.course_id is not None
    before = snapshot()
    with pytest.raises(InvalidInput, match="create_refund"):
        create_transaction(
            session,
            payment.user_id,
            payment.course_id,
            gateway="simulated",
            transaction_type=TransactionType.REFUND,
        )
    wrong: list[dict[str, Any]] = [
        {"transaction_type": "gift"},
        {"transaction_type": {"$ne": 1}},
        {"course_id": "x"},
        {"user_id": None},
    ]
    given = {"user_id": payment.user_id, "course_id": payment.course_id, "gateway": "simulated"}
    for values in wrong:
        with pytest.raises(InvalidInput):
            create_transaction(session, **given | values)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        complete_transaction(session, "x", "ref")  # type: ignore[arg-type]
    session.commit()
    assert snapshot() == before


@pytest.mark.parametrize("first_commits", [True, False])
def test_two_refunds_at_once(
    session: RoutingSession, engines: Engines, payment_id: UUID, first_commits: bool
) -> None:
    def second() -> bool:
        with RoutingSession(engines=engines, region="europe") as own:
            try:
                create_refund(own, payment_id, amount=25)
                own.commit()
            except RefundRefused:
                return False
            return True

    with engines.primary("eu").engine.connect() as watch, ThreadPoolExecutor(1) as thread:
        create_refund(session, payment_id, amount=25)
        pid = pid_of(session.connection())
        other = thread.submit(second)
        until(lambda: other.done() or stops_another(watch, pid))
        assert not other.done()
        session.commit() if first_commits else session.rollback()
        assert other.result() is not first_commits
    refunded = select(func.sum(Transaction.amount_minor)).where(
        Transaction.refund_of_id == payment_id
    )
    with RoutingSession(engines=engines, region="europe", consistency="primary") as fresh:
        assert fresh.scalar(refunded) == 2500
