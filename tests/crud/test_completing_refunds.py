from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

import pytest

from elearning.crud import (
    complete_refund,
    complete_transaction,
    create_refund,
    get_invoice,
    get_transaction,
)
from elearning.errors import (
    GatewayIdTaken,
    NotAPayment,
    TransactionNotFound,
    TransactionNotPending,
)
from elearning.flows import Platform, SimulatedGateway, settle
from elearning.models import TransactionStatus
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import TransactionFactory, bound
from tests.models.support import pid_of, stops_another, until


@pytest.fixture
def paid(session: RoutingSession) -> UUID:
    with bound(session):
        transaction_id = TransactionFactory.create(amount_minor=5_000).id
    complete_transaction(session, transaction_id, "charge-1")
    session.commit()
    return transaction_id


def test_a_refund_is_completed_without_an_invoice(session: RoutingSession, paid: UUID) -> None:
    refund_id = create_refund(session, paid, amount="20.00").id
    session.commit()
    before = get_transaction(session, paid).to_dict()
    refund = complete_refund(session, refund_id, "refund-1")
    session.commit()
    assert (refund.status, refund.amount) == (TransactionStatus.COMPLETED, Decimal("20.00"))
    assert refund.completed_at is not None
    assert get_invoice(session, refund_id) is None
    assert get_transaction(session, paid).to_dict() == before


def test_a_refund_is_completed_once(session: RoutingSession, paid: UUID) -> None:
    refund_id = create_refund(session, paid).id
    complete_refund(session, refund_id, "refund-1")
    with pytest.raises(TransactionNotPending, match="is completed"):
        complete_refund(session, refund_id, "refund-2")


def test_what_is_no_refund_is_not_completed_as_one(session: RoutingSession, paid: UUID) -> None:
    with pytest.raises(TransactionNotFound, match=str(paid)):
        complete_refund(session, paid, "refund-1")


def test_the_gateway_gives_an_id_once(session: RoutingSession, paid: UUID) -> None:
    refund_id = create_refund(session, paid).id
    with pytest.raises(GatewayIdTaken, match="'charge-1'"):
        complete_refund(session, refund_id, "charge-1")


@pytest.mark.parametrize("complete", [complete_refund, complete_transaction])
def test_two_that_use_an_id_at_once(
    session: RoutingSession, engines: Engines, paid: UUID, complete: Callable[..., object]
) -> None:
    with bound(session):
        if complete is complete_refund:
            ids = [create_refund(session, paid, amount=10).id for _ in range(2)]
        else:
            ids = [TransactionFactory.create().id for _ in range(2)]
    session.commit()

    def second() -> None:
        with RoutingSession(engines=engines, region="europe") as own:
            complete(own, ids[1], "same")
            own.commit()

    with engines.primary("eu").engine.connect() as watch, ThreadPoolExecutor(1) as thread:
        complete(session, ids[0], "same")
        pid = pid_of(session.connection())
        other = thread.submit(second)
        until(lambda: other.done() or stops_another(watch, pid))
        assert not other.done()
        session.commit()
        with pytest.raises(GatewayIdTaken, match="'same'"):
            other.result()


async def test_a_refund_is_never_charged(
    session: RoutingSession, paid: UUID, platform: Platform
) -> None:
    refund_id = create_refund(session, paid).id
    session.commit()
    gateway = SimulatedGateway()
    with pytest.raises(NotAPayment, match="complete_refund"):
        await settle(platform, refund_id, gateway)
    assert gateway.charged == {}
    with pytest.raises(NotAPayment, match=str(refund_id)):
        complete_transaction(session, refund_id, "charge-3")
