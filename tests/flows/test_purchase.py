from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from elearning.config import Settings
from elearning.crud import complete_transaction, create_transaction, get_invoice, get_transaction
from elearning.errors import (
    CourseNotFound,
    CourseNotOpen,
    ElearningError,
    GatewayFault,
    GatewayIdTaken,
    InvalidAmount,
    InvalidId,
    InvalidText,
    PaymentDeclined,
    PaymentMethodNotFound,
    TransactionNotFound,
    TransactionNotPending,
    UnknownCurrency,
    UserNotFound,
)
from elearning.flows import Charge, GatewayDeclined, Platform, SimulatedGateway, purchase, settle
from elearning.ids import new_id, region_of
from elearning.models import (
    Course,
    CourseStatus,
    Invoice,
    InvoiceStatus,
    Transaction,
    TransactionStatus,
)
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import PaymentMethodFactory, UserFactory, bound
from tests.flows.conftest import Campus, make_campus
from tests.snapshots import Snapshot, connect


@dataclass
class UnreliableGateway:
    """Takes the money, then loses the answer, a number of times."""

    failures: int
    name: str = "unreliable"
    charges: list[Charge] = field(default_factory=list)

    async def charge(self, charge: Charge) -> str:
        self.charges.append(charge)
        if len(self.charges) <= self.failures:
            msg = "the gateway's answer is lost"
            raise TimeoutError(msg)
        return f"u-{charge.key}"


async def test_purchase_in_every_region(
    platform: Platform, engines: Engines, region: Region
) -> None:
    campus = make_campus(engines, region, price_minor=1995, currency="USD")
    gateway = SimulatedGateway()
    invoice_id = await purchase(platform, campus.user_id, campus.course_id, gateway)
    assert region_of(invoice_id) is region
    async with platform.session(region, consistency="primary") as session:
        invoice = await session.get_one(Invoice, invoice_id)
        transaction = await session.get_one(Transaction, invoice.transaction_id)
        year = await session.scalar(select(func.date_part("year", func.now())))
    assert invoice.subtotal == Decimal("19.95")
    assert invoice.tax == Decimal("2.00")
    assert invoice.total == Decimal("21.95")
    assert invoice.status is InvoiceStatus.PAID
    assert invoice.invoice_number == f"{region.abbreviation}-{year:.0f}-000001"
    assert transaction.status is TransactionStatus.COMPLETED
    assert transaction.gateway_transaction_id == f"sim-{transaction.id}"
    assert transaction.completed_at is not None
    # What the gateway took is what the invoice says.
    assert gateway.charged[transaction.id].amount == invoice.total
    assert gateway.charged[transaction.id].currency == "USD"


async def test_invoice_numbers_have_no_gaps(
    platform: Platform, campus: Campus, engines: Engines
) -> None:
    gateway = SimulatedGateway(limit=Decimal(1000))

    async def buy(number: int) -> UUID | None:
        try:
            return await purchase(
                platform,
                campus.user_id,
                campus.course_id,
                gateway,
                # Every third is declined and must not use up a number.
                amount=5000 if number % 3 == 0 else 10,
                currency="EUR",
            )
        except PaymentDeclined:
            return None

    await asyncio.gather(*(buy(number) for number in range(18)))
    async with platform.session(campus.region, consistency="primary") as session:
        numbers = sorted(await session.scalars(select(Invoice.invoice_number)))
    assert [number[-6:] for number in numbers] == [f"{n:06}" for n in range(1, 13)]


async def test_regions_of_one_shard_number_their_own_invoices(
    platform: Platform, engines: Engines
) -> None:
    for region in (Region.EUROPE, Region.AFRICA):
        campus = make_campus(engines, region)
        await purchase(platform, campus.user_id, campus.course_id, SimulatedGateway())
    async with platform.session("europe", consistency="primary") as session:
        numbers = sorted(await session.scalars(select(Invoice.invoice_number)))
    assert [(number[:2], number[-6:]) for number in numbers] == [("AF", "000001"), ("EU", "000001")]


async def test_a_declined_payment_is_stored_as_failed(platform: Platform, campus: Campus) -> None:
    with pytest.raises(PaymentDeclined, match="above the limit") as caught:
        await purchase(
            platform, campus.user_id, campus.course_id, SimulatedGateway(limit=Decimal(1))
        )
    assert isinstance(caught.value.__cause__, GatewayDeclined)
    async with platform.session(campus.region, consistency="primary") as session:
        transaction = (await session.scalars(select(Transaction))).one()
        assert transaction.status is TransactionStatus.FAILED
        assert await session.run_sync(get_invoice, transaction.id) is None
    with pytest.raises(TransactionNotPending, match="is failed"):
        await settle(platform, transaction.id, SimulatedGateway())


async def test_a_lost_answer_of_the_gateway_is_settled_later(
    platform: Platform, campus: Campus
) -> None:
    gateway = UnreliableGateway(failures=1)
    with pytest.raises(TimeoutError):
        await purchase(platform, campus.user_id, campus.course_id, gateway)
    async with platform.session(campus.region, consistency="primary") as session:
        transaction = (await session.scalars(select(Transaction))).one()
    assert transaction.status is TransactionStatus.PENDING
    invoice_id = await settle(platform, transaction.id, gateway)
    assert {charge.key for charge in gateway.charges} == {transaction.id}
    assert await settle(platform, transaction.id, gateway) == invoice_id
    assert len(gateway.charges) == 2


@dataclass
class BrokenGateway:
    """Takes the money and answers nonsense."""

    answer: Any
    name: str = "broken"

    async def charge(self, charge: Charge) -> str:
        assert charge.amount
        answer: str = self.answer
        return answer


@pytest.mark.parametrize("answer", [None, "", "x" * 201, 7])
async def test_an_answer_of_the_gateway_that_is_no_id(
    platform: Platform, campus: Campus, answer: Any
) -> None:
    with pytest.raises(GatewayFault, match="broken answered"):
        await purchase(platform, campus.user_id, campus.course_id, BrokenGateway(answer))
    async with platform.session(campus.region, consistency="primary") as session:
        transaction = (await session.scalars(select(Transaction))).one()
    assert transaction.status is TransactionStatus.PENDING
    invoice_id = await settle(platform, transaction.id, BrokenGateway("fine"))
    assert region_of(invoice_id) is campus.region


async def test_an_id_that_the_gateway_gives_twice(platform: Platform, campus: Campus) -> None:
    await purchase(platform, campus.user_id, campus.course_id, BrokenGateway("same"))
    with pytest.raises(GatewayIdTaken, match="'same': broken has given that id to another"):
        await purchase(platform, campus.user_id, campus.course_id, BrokenGateway("same"))


async def test_ids_may_be_texts(platform: Platform, campus: Campus) -> None:
    user_id, course_id = str(campus.user_id), str(campus.course_id)
    invoice_id = await purchase(platform, user_id, course_id, SimulatedGateway())  # type: ignore[arg-type]
    assert region_of(invoice_id) is campus.region


async def test_settled_by_several_at_once(platform: Platform, campus: Campus) -> None:
    with pytest.raises(TimeoutError):
        await purchase(platform, campus.user_id, campus.course_id, UnreliableGateway(failures=1))
    async with platform.session(campus.region, consistency="primary") as session:
        transaction_id = await session.scalar(select(Transaction.id))
    assert transaction_id is not None
    gateway = SimulatedGateway()
    invoices = await asyncio.gather(*(settle(platform, transaction_id, gateway) for _ in range(6)))
    assert len(set(invoices)) == 1
    assert len(gateway.charged) == 1


async def test_a_payment_with_a_stored_method(
    platform: Platform, campus: Campus, engines: Engines
) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        from elearning.models import User  # noqa: PLC0415

        mine = PaymentMethodFactory.create(user=session.get_one(User, campus.user_id)).id
        session.commit()
    gateway = SimulatedGateway()
    await purchase(platform, campus.user_id, campus.course_id, gateway, payment_method_id=mine)
    assert [charge.payment_method_id for charge in gateway.charged.values()] == [mine]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount": -1, "currency": "EUR"}, InvalidAmount),
        ({"amount": "-0.01", "currency": "EUR"}, InvalidAmount),
        ({"amount": 0.1, "currency": "EUR"}, InvalidAmount),
        ({"amount": "0.001", "currency": "EUR"}, InvalidAmount),
        ({"amount": "NaN", "currency": "EUR"}, InvalidAmount),
        ({"amount": 10, "currency": "XXX"}, UnknownCurrency),
        ({"amount": 10, "currency": "eur"}, UnknownCurrency),
        ({"amount": 10}, UnknownCurrency),
        ({"currency": "USD"}, InvalidAmount),
        ({"course_id": new_id("europe")}, CourseNotFound),
        ({"course_id": new_id("asia")}, CourseNotFound),
        ({"course_id": uuid4()}, InvalidId),
        ({"user_id": new_id("europe")}, UserNotFound),
        ({"user_id": "me"}, InvalidId),
        ({"payment_method_id": new_id("europe")}, PaymentMethodNotFound),
        ({"payment_method_id": "x"}, InvalidId),
        ({"payment_method_id": 7}, InvalidId),
        pytest.param({"amount": 10**6000, "currency": "EUR"}, InvalidAmount, id="huge"),
        ({"amount": True, "currency": "EUR"}, InvalidAmount),
    ],
)
async def test_wrong_input_changes_nothing(
    platform: Platform,
    campus: Campus,
    snapshot: Snapshot,
    changes: dict[str, Any],
    error: type[ElearningError],
) -> None:
    before = snapshot()
    gateway = SimulatedGateway()
    arguments: dict[str, Any] = {
        "user_id": campus.user_id,
        "course_id": campus.course_id,
        "gateway": gateway,
    } | changes
    with pytest.raises(error):
        await purchase(platform, **arguments)
    assert snapshot() == before
    assert gateway.charged == {}


async def test_somebody_elses_payment_method(
    platform: Platform, campus: Campus, engines: Engines, snapshot: Snapshot
) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        theirs = PaymentMethodFactory.create(user=UserFactory.create()).id
        session.commit()
    before = snapshot()
    with pytest.raises(PaymentMethodNotFound, match=str(theirs)):
        await purchase(
            platform,
            campus.user_id,
            campus.course_id,
            SimulatedGateway(),
            payment_method_id=theirs,
        )
    assert snapshot() == before


async def test_an_archived_course_is_not_sold(
    platform: Platform, campus: Campus, snapshot: Snapshot
) -> None:
    async with platform.session(campus.region) as session, session.begin():
        await session.execute(
            update(Course).values(status=CourseStatus.ARCHIVED, archived_at=func.now())
        )
    before = snapshot()
    with pytest.raises(CourseNotOpen, match="is archived"):
        await purchase(platform, campus.user_id, campus.course_id, SimulatedGateway())
    assert snapshot() == before


async def test_completing_a_completed_transaction(
    platform: Platform, campus: Campus, snapshot: Snapshot
) -> None:
    await purchase(platform, campus.user_id, campus.course_id, SimulatedGateway())
    async with platform.session(campus.region, consistency="primary") as session:
        transaction_id = (await session.scalars(select(Transaction.id))).one()
    before = snapshot()
    async with platform.session(campus.region) as session:
        with pytest.raises(TransactionNotPending, match="is completed"):
            await session.run_sync(complete_transaction, transaction_id, "again")
    assert snapshot() == before


async def test_unknown_transactions(platform: Platform, snapshot: Snapshot) -> None:
    before = snapshot()
    stranger = new_id("europe")
    async with platform.session("europe") as session:
        with pytest.raises(TransactionNotFound, match=str(stranger)):
            await session.run_sync(complete_transaction, stranger, "x")
        await session.rollback()
        with pytest.raises(TransactionNotFound):
            await session.run_sync(get_transaction, stranger)
        with pytest.raises(InvalidText, match="gateway_transaction_id"):
            await session.run_sync(complete_transaction, stranger, "")
    with pytest.raises(TransactionNotFound):
        await settle(platform, stranger, SimulatedGateway())
    with pytest.raises(InvalidId):
        await settle(platform, uuid4(), SimulatedGateway())
    assert snapshot() == before


async def test_complete_transaction_is_one_transaction(
    platform: Platform, campus: Campus, settings: Settings, snapshot: Snapshot
) -> None:
    async with platform.session(campus.region) as session, session.begin():
        transaction = await session.run_sync(
            lambda sync: create_transaction(
                sync, campus.user_id, campus.course_id, gateway="simulated"
            )
        )
    # Make the invoice impossible: nothing of the completion may stay.
    with connect(settings.shard("eu").owner_url) as owner:
        owner.execute(
            "INSERT INTO invoice_counters VALUES "
            "(3, extract(year FROM clock_timestamp() AT TIME ZONE 'UTC'), 2147483647)"
        )
    before = snapshot()
    async with platform.session(campus.region) as session:
        with pytest.raises(Exception, match="integer out of range"):
            await session.run_sync(complete_transaction, transaction.id, "x")
    assert snapshot() == before
