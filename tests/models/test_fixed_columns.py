"""Whose a row is and what was agreed never change, whoever tries."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from elearning.errors import FixedColumn, IllegalStep, TransactionNotPending
from elearning.ids import new_id
from elearning.models import Base, Transaction
from tests.models.support import scalar
from tests.models.world import ORIGINALS, World, insert_copy

FIXED = {
    "claims": {"kind", "fact", "holder_id"},
    "course_prerequisites": {"course_id", "prerequisite_id"},
    "waitlist": {"course_id", "user_id"},
    "user_profiles": {"user_id"},
    "user_tokens": {"user_id", "purpose", "token_hash", "email", "expires_at"},
    "course_modules": {"course_id"},
    "enrollments": {"user_id", "course_id"},
    "lesson_progress": {"enrollment_id", "lesson_id"},
    "quiz_attempts": {
        "enrollment_id",
        "lesson_id",
        "number",
        "score",
        "answers",
        "submitted_at",
    },
    "certificates": {
        "enrollment_id",
        "code",
        "recipient_name",
        "course_title",
        "instructor_name",
        "grade",
        "completion_date",
        "issued_at",
    },
    "course_reviews": {"enrollment_id", "course_id"},
    "review_reports": {"review_id", "reporter_id", "reason", "report_text"},
    "payment_methods": {"user_id"},
    "transactions": {
        "user_id",
        "course_id",
        "amount",
        "currency",
        "transaction_type",
        "refund_of_id",
    },
    "invoices": {
        "transaction_id",
        "invoice_number",
        "invoice_date",
        "due_date",
        "subtotal",
        "tax",
        "discount",
        "total",
        "currency",
    },
}
ROWS = ORIGINALS | {"transactions": "pending", "waitlist": "waiting"}
SETTLED = {
    column.name
    for column in Transaction.__table__.columns
    if not column.system and column.name not in {*FIXED["transactions"], "status", "updated_at"}
}


def test_the_fixed_columns() -> None:
    assert {
        name: set(table.info["fixed"])
        for name, table in Base.metadata.tables.items()
        if "fixed" in table.info
    } == FIXED


def another(value: Any) -> Any:
    match value:
        case UUID() | None:
            return new_id("europe")
        case int() | Decimal():
            return value + 1
        case bytes():
            return value[::-1]
        case date():
            return value + timedelta(days=1)
        case Jsonb():
            return Jsonb([])
    return str(value)[::-1]


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in FIXED for column in sorted(FIXED[table])]
)
def test_refuse_fixed_change(root: Connection, world: World, table: str, column: str) -> None:
    row = f"WHERE id = '{getattr(world, ROWS[table])}'"
    value = scalar(root, f"SELECT {column} FROM {table} {row}")
    value = Jsonb(value) if isinstance(value, dict) else value
    change = f"UPDATE {table} SET {column} = %(value)s {row}"
    with pytest.raises(FixedColumn) as caught, root.begin_nested():
        root.exec_driver_sql(change, {"value": another(value)})
    assert (caught.value.values["table"], caught.value.values["columns"]) == (table, column)
    # What has that value already does not change.
    assert root.exec_driver_sql(change, {"value": value}).rowcount == 1


def test_refuse_fixed_change_names_all_that_changed(root: Connection, world: World) -> None:
    change = "UPDATE transactions SET amount = amount + 1, gateway = 'x', currency = 'USD'"
    with pytest.raises(FixedColumn, match="amount, currency of transactions"):
        root.exec_driver_sql(f"{change} WHERE id = '{world.pending}'")


@pytest.mark.parametrize("column", sorted(SETTLED))
@pytest.mark.parametrize("status", ["completed", "failed"])
def test_refuse_settled_change(root: Connection, world: World, status: str, column: str) -> None:
    row_id = new_id("europe")
    insert_copy(root, world, "transactions", id=row_id)
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")  # without an invoice
    root.exec_driver_sql(
        f"UPDATE transactions SET status = '{status}', completed_at = now(), "
        f"gateway_transaction_id = 'g-2' WHERE id = '{row_id}'"
    )
    root.exec_driver_sql("SET LOCAL session_replication_role = origin")
    value = scalar(root, f"SELECT {column} FROM transactions WHERE id = '{row_id}'")
    with pytest.raises(TransactionNotPending, match=f"{row_id} is {status}"):
        root.exec_driver_sql(
            f"UPDATE transactions SET {column} = %(value)s WHERE id = '{row_id}'",
            {"value": another(value)},
        )


def test_refuse_settled_change_of_the_status(root: Connection, world: World) -> None:
    with pytest.raises(IllegalStep, match="from completed to pending"):
        root.exec_driver_sql("UPDATE transactions SET status = 'pending'")


def test_refuse_settled_change_forgets_a_card(root: Connection, world: World) -> None:
    root.exec_driver_sql(
        f"UPDATE transactions SET payment_method_id = NULL WHERE id = '{world.payment}'"
    )
    with pytest.raises(TransactionNotPending):
        root.exec_driver_sql(
            f"UPDATE transactions SET payment_method_id = '{world.card}' "
            f"WHERE id = '{world.payment}'"
        )


def test_a_pending_payment_may_be_paid_otherwise(root: Connection, world: World) -> None:
    card = new_id("europe")
    insert_copy(root, world, "payment_methods", id=card, user_id=world.other)
    change = f"UPDATE transactions SET payment_method_id = '{card}', gateway = 'another'"
    assert root.exec_driver_sql(f"{change} WHERE id = '{world.pending}'").rowcount == 1
