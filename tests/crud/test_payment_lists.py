from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from elearning.crud import (
    complete_transaction,
    create_refund,
    create_transaction,
    fail_transaction,
    list_course_transactions,
    list_invoices,
    list_transactions,
)
from elearning.errors import InvalidText, UnknownCurrency
from elearning.ids import new_id
from elearning.routing import Engines
from tests.crud.reviewing import REGIONS, Classroom, analyze, make_classroom, plan_of, replayed
from tests.served import served


@pytest.fixture
def payments(engines: Engines, empty_databases: None) -> Classroom:
    """Of one user in each region: completed and refunded, failed, pending in dollars."""
    classroom = make_classroom(engines)
    for region in REGIONS:
        user_id = classroom.users[region][0]
        with classroom.session(region) as session:

            def pay(user_id: UUID = user_id, **more: Any) -> UUID:
                made = create_transaction(
                    session,
                    user_id,
                    classroom.course_id,
                    gateway="simulated",
                    **more,
                )
                session.commit()
                return made.id

            paid = pay()
            complete_transaction(session, paid, f"T-{region}")
            session.commit()
            create_refund(session, paid, amount="1.00")
            session.commit()
            fail_transaction(session, pay())
            pay(amount="5.00", currency="USD")
    replayed(engines, classroom.token)
    return classroom


def shape(items: Any) -> list[tuple[str, str, str]]:
    return [(each.transaction_type.value, each.status.value, each.currency) for each in items]


ALL = [
    ("purchase", "pending", "USD"),
    ("purchase", "failed", "EUR"),
    ("refund", "pending", "EUR"),
    ("purchase", "completed", "EUR"),
]


def test_transactions_of_a_user(payments: Classroom) -> None:
    for region in REGIONS:
        user_id = payments.users[region][0]
        with payments.session("europe") as session, served(payments.engines) as nodes:
            first = list_transactions(user_id).page(session, size=3)
            second = list_transactions(user_id).page(session, size=3, after=first.next)
        assert nodes == [f"{payments.engines.home(region)}-replica-1"] * 2
        assert shape([*first.items, *second.items]) == ALL
        assert {each.user_id for each in first.items} == {user_id}
        assert second.next is None


FILTERS: list[tuple[dict[str, Any], Callable[[tuple[str, str, str]], bool]]] = [
    ({"status": "completed"}, lambda row: row[1] == "completed"),
    ({"status": "pending"}, lambda row: row[1] == "pending"),
    ({"transaction_type": "refund"}, lambda row: row[0] == "refund"),
    ({"currency": "USD"}, lambda row: row[2] == "USD"),
    ({"currency": "EUR", "status": "pending"}, lambda row: row[1:] == ("pending", "EUR")),
    ({"currency": "JPY"}, lambda _: False),
    ({"status": None, "since": None}, lambda _: True),
]


def test_filters(payments: Classroom) -> None:
    user_id = payments.users["asia"][0]
    with payments.session("asia") as session:
        for filters, wanted in FILTERS:
            found = list_transactions(user_id, **filters).page(session).items
            assert shape(found) == [row for row in ALL if wanted(row)], filters
        times = [each.created_at for each in list_transactions(user_id).page(session).items]
        since = list_transactions(user_id, since=times[1]).page(session).items
        assert [each.created_at for each in since] == times[:2]
        before = list_transactions(user_id, before=times[1]).page(session).items
        assert [each.created_at for each in before] == times[2:]
        between = list_transactions(user_id, since=times[2], before=times[0]).page(session).items
        assert [each.created_at for each in between] == times[1:3]


def test_transactions_of_a_course(payments: Classroom) -> None:
    with payments.session("asia") as session, served(payments.engines) as nodes:
        found = list_course_transactions(payments.course_id).page(session).items
        assert shape(found) == ALL
        assert {each.user_id for each in found} == {payments.users["asia"][0]}
        strange = list_course_transactions(new_id("europe")).page(session)
        assert (strange.items, strange.next) == ([], None)
    assert nodes == ["asia-replica-1"] * 2
    with served(payments.engines) as nodes:
        everywhere = list_course_transactions(payments.course_id, status="completed").everywhere(
            payments.engines, size=2
        )
        rest = list_course_transactions(payments.course_id, status="completed").everywhere(
            payments.engines, size=2, after=everywhere.next
        )
    assert set(nodes) == {"asia-replica-1", "eu-replica-1", "na-replica-1"}
    # The newest first: they were made in this order.
    assert [each.user_id for each in (*everywhere.items, *rest.items)] == [
        payments.users[region][0] for region in reversed(REGIONS)
    ]


def test_invoices_of_a_user(payments: Classroom) -> None:
    user_id = payments.users["north_america"][0]
    with payments.session("europe") as session, served(payments.engines) as nodes:
        (invoice,) = list_invoices(user_id).page(session).items
        assert invoice.invoice_number.startswith("NA-")
        assert list_invoices(user_id, status="paid").page(session).items == [invoice]
        assert list_invoices(user_id, status="overdue").page(session).items == []
    assert nodes == ["na-replica-1"] * 3


def test_bad_filters() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    wrong: list[tuple[type[Exception], dict[str, Any]]] = [
        (InvalidText, {"status": "lost"}),
        (InvalidText, {"transaction_type": "gift"}),
        (UnknownCurrency, {"currency": "eur"}),
        (UnknownCurrency, {"currency": ""}),
        (UnknownCurrency, {"currency": ["EUR"]}),
        (InvalidText, {"since": moment.replace(tzinfo=None)}),
        (InvalidText, {"before": "2026-03-01"}),
        (InvalidText, {"since": moment, "before": moment}),
        (InvalidText, {"since": moment, "before": moment - timedelta(days=1)}),
    ]
    for error, filters in wrong:
        with pytest.raises(error):
            list_transactions(new_id("asia"), **filters)
        with pytest.raises(error):
            list_course_transactions(new_id("asia"), **filters)
    with pytest.raises(InvalidText, match="status"):
        list_invoices(new_id("asia"), status="lost")


def test_a_far_page_is_read_by_an_index(payments: Classroom) -> None:
    with payments.session() as session:
        session.execute(
            text(
                "INSERT INTO transactions (id, user_id, course_id, amount, currency, gateway) "
                "SELECT new_id(3), :user, :course, 1, 'EUR', 'simulated' "
                "FROM generate_series(1, 3000)"
            ),
            {"user": payments.users["europe"][0], "course": payments.course_id},
        )
        session.commit()
        analyze(payments.engines, "eu", "transactions")
        listing = list_course_transactions(payments.course_id)
        after = listing.page(session, size=500).next
        plan = plan_of(session, listing, after)
        assert "idx_transactions_course_date" in plan, plan
        assert "Sort" not in plan, plan
