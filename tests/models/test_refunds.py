"""What the database asks of a payment and of a refund, whoever writes it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from elearning.errors import InvoiceMissing, RefundRefused
from elearning.ids import new_id
from tests.models.support import scalar
from tests.models.world import World, insert_copy


def refund(root: Connection, world: World, **changes: Any) -> None:
    insert_copy(
        root,
        world,
        "transactions",
        **{"transaction_type": "refund", "refund_of_id": world.payment} | changes,
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"user_id": "other", "payment_method_id": None}, "is of another user"),
        ({"currency": "USD"}, "is in EUR"),
        ({"course_id": "other_course"}, "is for another course"),
        ({"amount": 0}, "is not touched by that amount"),
        ({"amount": 4901}, "is of 4900, and 0 of it is refunded"),
        ({"refund_of_id": "pending"}, "is pending"),
        ({"refund_of_id": "failed"}, "is failed"),
        ({"refund_of_id": "refund"}, "is a refund itself"),
    ],
    ids=str,
)
def test_refuse_wrong_refund(
    root: Connection, world: World, changes: dict[str, Any], problem: str
) -> None:
    failed, settled = new_id("europe"), new_id("europe")
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")
    insert_copy(root, world, "transactions", id=failed, status="failed")
    settlement = {"status": "completed", "completed_at": "2026-02-01", "amount": 0}
    refund(root, world, id=settled, **settlement, gateway_transaction_id="g-2")
    root.exec_driver_sql("SET LOCAL session_replication_role = origin")
    rows = {
        "other": world.other,
        "other_course": world.other_course,
        "pending": world.pending,
        "failed": failed,
        "refund": settled,
    }
    named = {name: rows.get(value, value) for name, value in changes.items()}
    with root.begin_nested() as fine:
        refund(root, world)
        fine.rollback()
    with pytest.raises(RefundRefused, match=problem):
        refund(root, world, **named)


def test_refuse_wrong_refund_counts_all_of_them(root: Connection, world: World) -> None:
    for amount in (2000, 2000):
        refund(root, world, amount=amount)
    with pytest.raises(RefundRefused, match="4000 of it is refunded"), root.begin_nested():
        refund(root, world, amount=901)
    refund(root, world, amount=900)
    with pytest.raises(RefundRefused, match="4900 of it is refunded"):
        refund(root, world, amount=1)


def test_refuse_wrong_refund_in_one_statement(root: Connection, world: World) -> None:
    columns = "id, user_id, course_id, refund_of_id, amount, currency, transaction_type, gateway"
    with pytest.raises(RefundRefused, match="3000 of it is refunded"):
        root.exec_driver_sql(
            f"INSERT INTO transactions ({columns}) SELECT new_id(3), user_id, course_id, id, 3000, "
            f"currency, 'refund', gateway FROM transactions, generate_series(1, 2) "
            f"WHERE id = '{world.payment}'"
        )


def test_require_invoice(root: Connection, world: World) -> None:
    complete = (
        "UPDATE transactions SET status = 'completed', completed_at = now(), "
        "gateway_transaction_id = 'g-2' WHERE id = '{}'"
    )
    with (
        pytest.raises(InvoiceMissing, match=f"transaction {world.pending} has no invoice"),
        root.begin_nested(),
    ):
        root.exec_driver_sql(complete.format(world.pending))
    insert_copy(root, world, "invoices")
    root.exec_driver_sql(complete.format(world.pending))
    # A refund has none.
    refunded = new_id("europe")
    refund(root, world, id=refunded)
    root.exec_driver_sql(complete.format(refunded).replace("g-2", "g-3"))


def test_a_payment_that_is_refunded_stays_as_it_is(root: Connection, world: World) -> None:
    payment = f"SELECT t::text FROM transactions AS t WHERE id = '{world.payment}'"
    before = scalar(root, payment)
    refund(root, world)
    assert scalar(root, payment) == before
    with pytest.raises(IntegrityError, match=r"fk_(transactions|invoices)_\w+"):
        root.exec_driver_sql(f"DELETE FROM transactions WHERE id = '{world.payment}'")
