from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from elearning.crud import (
    MOST_PAYMENT_METHODS,
    add_payment_method,
    create_transaction,
    list_payment_methods,
    remove_payment_method,
    set_default_payment_method,
)
from elearning.errors import (
    AccountNotActive,
    InvalidInput,
    InvalidPaymentMethod,
    InvalidText,
    PaymentMethodNotFound,
    TooManyPaymentMethods,
    UserNotFound,
)
from elearning.flows import Platform
from elearning.ids import new_id, region_of
from elearning.models import PaymentMethod, PaymentMethodType, Transaction
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, PaymentMethodFactory, UserFactory, bound
from tests.crud.reviewing import replayed
from tests.served import served

CARD: dict[str, Any] = {"last_four": "4242", "expiry_month": 12, "expiry_year": 2045}


@pytest.fixture
def asian(engines: Engines, empty_databases: None) -> UUID:
    """A user of asia, where no session of these tests is."""
    with RoutingSession(engines=engines, region="asia") as session, bound(session):
        user_id = UserFactory.create(region="asia").id
        session.commit()
        replayed(engines, session.token)
    return user_id


@pytest.fixture
def session(engines: Engines, asian: UUID) -> Iterator[RoutingSession]:
    with RoutingSession(engines=engines, region="europe") as opened:
        yield opened


def defaults(session: RoutingSession, user_id: UUID) -> list[UUID]:
    return list(
        session.execute(
            text("SELECT id FROM payment_methods WHERE user_id = :user AND is_default"),
            {"user": user_id},
            execution_options={"region": "asia"},
        ).scalars()
    )


def listed(session: RoutingSession, user_id: UUID) -> list[UUID]:
    return [method.id for method in list_payment_methods(user_id).page(session).items]


def test_the_first_one_is_the_default(
    engines: Engines, session: RoutingSession, asian: UUID
) -> None:
    with served(engines) as nodes:
        first = add_payment_method(session, asian, "credit_card", brand=" Visa ", **CARD)
    assert nodes == ["asia-primary"] * 3
    assert region_of(first.id) is Region.ASIA
    assert (first.method_type, first.brand) == (PaymentMethodType.CREDIT_CARD, "Visa")
    assert (first.last_four, first.is_default) == ("4242", True)
    second = add_payment_method(session, asian, "paypal")
    third = add_payment_method(session, asian, "bank_transfer", last_four="0001")
    assert (first.is_default, second.is_default, third.is_default) == (True, False, False)
    fourth = add_payment_method(session, asian, "debit_card", default=True, **CARD)
    assert (first.is_default, fourth.is_default) == (False, True)
    assert listed(session, asian) == [fourth.id, third.id, second.id, first.id]


def test_payment_methods_are_listed_from_the_replica(
    engines: Engines, session: RoutingSession, asian: UUID
) -> None:
    made = [add_payment_method(session, asian, "paypal").id for _ in range(3)]
    session.commit()
    replayed(engines, session.token)
    with served(engines) as nodes:
        page = list_payment_methods(asian).page(session, size=2)
        rest = list_payment_methods(asian).page(session, size=2, after=page.next)
    assert nodes == ["asia-replica-1"] * 2
    found = [method.id for method in (*page.items, *rest.items)]
    assert (found[0], set(found), rest.next) == (made[0], set(made), None)


NOW = datetime.now(UTC)
LAST = {"expiry_month": 12, "expiry_year": NOW.year - 1}
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("credit_card", {}),
    ("debit_card", {"last_four": "4242"}),
    ("credit_card", {"expiry_month": 1, "expiry_year": 2045}),
    ("credit_card", CARD | LAST),
    ("credit_card", CARD | {"expiry_month": 0}),
    ("credit_card", CARD | {"expiry_month": 13}),
    ("credit_card", CARD | {"expiry_month": None}),
    ("credit_card", CARD | {"expiry_month": True}),
    ("credit_card", CARD | {"expiry_year": None}),
    ("credit_card", CARD | {"expiry_year": 45}),
    ("credit_card", CARD | {"expiry_year": 9999}),
    ("credit_card", CARD | {"expiry_year": "2045"}),
    ("credit_card", CARD | {"last_four": "4242424242424242"}),
    ("credit_card", CARD | {"last_four": "424"}),
    ("credit_card", CARD | {"last_four": "42४2"}),
    ("credit_card", CARD | {"last_four": 4242}),
    ("credit_card", CARD | {"brand": "Visa 4242 4242 4242 4242"}),
    ("credit_card", CARD | {"billing_address": "card 4242-4242-4242-4242, 1 Main St"}),
    ("credit_card", CARD | {"billing_address": "1 Main St 12 4242 4242 4242 4242"}),
    ("credit_card", CARD | {"billing_address": "4242424242424242 12345 678"}),
    ("credit_card", CARD | {"default": "yes"}),
    ("credit_card", CARD | {"default": None}),
    ("credit_card", CARD | {"brand": "x" * 51}),
    ("credit_card", CARD | {"brand": ""}),
    ("credit_card", CARD | {"billing_address": "x" * 1001}),
    ("paypal", {"last_four": "4242"}),
    ("paypal", {"expiry_month": 1, "expiry_year": 2045}),
    ("bank_transfer", {"last_four": "1234", "expiry_month": 1, "expiry_year": 2045}),
    ("shells", {}),
]


def test_refused_payment_methods(engines: Engines, session: RoutingSession, asian: UUID) -> None:
    with served(engines) as nodes:
        for kind, values in WRONG:
            with pytest.raises(InvalidInput) as caught:
                add_payment_method(session, asian, kind, **values)
            assert isinstance(caught.value, InvalidPaymentMethod | InvalidText), (kind, values)
            assert "4242" not in str(caught.value), (kind, values)
    assert nodes == []


def test_a_card_is_good_until_the_end_of_its_month(session: RoutingSession, asian: UUID) -> None:
    now = datetime.now(UTC)
    method = add_payment_method(
        session,
        asian,
        "credit_card",
        last_four="0000",
        expiry_month=now.month,
        expiry_year=now.year,
        billing_address="House 12345, phone 0049 171 1234567",
    )
    assert method.expiry_month == now.month


def test_for_nobody_and_for_the_suspended(session: RoutingSession, asian: UUID) -> None:
    with pytest.raises(UserNotFound):
        add_payment_method(session, new_id("asia"), "paypal")
    method = add_payment_method(session, asian, "paypal")
    session.execute(text("UPDATE users SET status = 'suspended' WHERE id = :id"), {"id": asian})
    with pytest.raises(AccountNotActive, match="suspended"):
        add_payment_method(session, asian, "paypal")
    with pytest.raises(AccountNotActive, match="suspended"):
        set_default_payment_method(session, asian, method.id)
    assert listed(session, asian) == [method.id]
    remove_payment_method(session, asian, method.id)


def test_there_is_an_end(session: RoutingSession, asian: UUID) -> None:
    for _ in range(MOST_PAYMENT_METHODS):
        add_payment_method(session, asian, "paypal")
    with pytest.raises(TooManyPaymentMethods, match="20 payment methods"):
        add_payment_method(session, asian, "paypal")
    assert len(listed(session, asian)) == MOST_PAYMENT_METHODS


def test_set_default(engines: Engines, session: RoutingSession, asian: UUID) -> None:
    first, second = (add_payment_method(session, asian, "paypal") for _ in range(2))
    with served(engines) as nodes:
        assert set_default_payment_method(session, asian, second.id) is second
    assert nodes == ["asia-primary"] * 4
    assert (first.is_default, second.is_default) == (False, True)
    assert set_default_payment_method(session, asian, second.id).is_default
    assert defaults(session, asian) == [second.id]


def test_an_expired_card_is_no_default(session: RoutingSession, asian: UUID) -> None:
    first = add_payment_method(session, asian, "paypal")
    old = add_payment_method(session, asian, "credit_card", **CARD)
    session.execute(
        text("UPDATE payment_methods SET expiry_year = 2020 WHERE id = :id"), {"id": old.id}
    )
    with pytest.raises(InvalidPaymentMethod, match="12/2020 is over"):
        set_default_payment_method(session, asian, old.id)
    assert defaults(session, asian) == [first.id]


def test_of_somebody_else(engines: Engines, session: RoutingSession, asian: UUID) -> None:
    with RoutingSession(engines=engines, region="asia") as other, bound(other):
        theirs = PaymentMethodFactory.create(user__region="asia", is_default=True).id
        other.commit()
    own = add_payment_method(session, asian, "paypal")
    for strange in (theirs, new_id("asia"), new_id("europe")):
        for operation in (set_default_payment_method, remove_payment_method):
            with pytest.raises(PaymentMethodNotFound, match=str(strange)):
                operation(session, asian, strange)
    assert set(defaults(session, asian)) == {own.id}


def test_remove(engines: Engines, session: RoutingSession, asian: UUID) -> None:
    first, second, third = (add_payment_method(session, asian, "paypal").id for _ in range(3))
    with served(engines) as nodes:
        remove_payment_method(session, asian, second)
    assert nodes == ["asia-primary"] * 2
    assert defaults(session, asian) == [first]
    remove_payment_method(session, asian, first)
    # The newest one follows.
    assert defaults(session, asian) == [third]
    remove_payment_method(session, asian, third)
    assert listed(session, asian) == []
    assert add_payment_method(session, asian, "paypal").is_default


def test_what_was_paid_by_it_stays(engines: Engines, empty_databases: None) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        user_id, course_id = UserFactory.create().id, CourseFactory.create().id
        method = add_payment_method(session, user_id, "credit_card", **CARD)
        paid = create_transaction(
            session, user_id, course_id, gateway="simulated", payment_method_id=method.id
        )
        remove_payment_method(session, user_id, method.id)
        assert paid.payment_method_id is None
        assert session.get_one(Transaction, paid.id).amount_minor == 4_900


def test_exactly_one_default_whoever_comes_first(
    engines: Engines, session: RoutingSession, asian: UUID
) -> None:
    together = Barrier(6)

    def change(number: int) -> None:
        with RoutingSession(engines=engines, region="asia") as mine:
            together.wait(10)
            method = add_payment_method(mine, asian, "paypal", default=number % 2 == 0)
            method_id = method.id
            mine.commit()
            together.wait(10)
            if number == 0:
                remove_payment_method(mine, asian, method_id)
            else:
                set_default_payment_method(mine, asian, method_id)
            mine.commit()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(change, range(6)))
    assert len(listed(session, asian)) == 5
    assert len(defaults(session, asian)) == 1


async def test_in_an_asynchronous_session(platform: Platform, engines: Engines) -> None:
    with RoutingSession(engines=engines, region="asia") as made, bound(made):
        user_id = UserFactory.create(region="asia").id
        made.commit()
    async with platform.session("europe") as session:
        method = await session.run_sync(add_payment_method, user_id, "credit_card", **CARD)
        page = await session.run_sync(list_payment_methods(user_id).page)
        assert [each.id for each in page.items] == [method.id]
        assert isinstance(page.items[0], PaymentMethod)
