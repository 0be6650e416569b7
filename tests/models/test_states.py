"""A status follows its table of steps: each pair of states is tried."""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import Connection

from elearning.errors import IllegalStep
from elearning.models import (
    Base,
    ClaimStatus,
    EnrollmentStatus,
    InvoiceStatus,
    States,
    TransactionStatus,
    WaitlistStatus,
)
from tests.models.support import scalar
from tests.models.world import World, insert_copy

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"

STATUS: dict[str, type[StrEnum]] = {
    "enrollments": EnrollmentStatus,
    "transactions": TransactionStatus,
    "invoices": InvoiceStatus,
    "claims": ClaimStatus,
    "waitlist": WaitlistStatus,
}
STEPS = {
    "enrollments": {
        "active > completed",
        "active > dropped",
        "active > expired",
        "completed > active",
        "dropped > active",
        "expired > active",
    },
    "transactions": {"pending > completed", "pending > failed"},
    "invoices": {
        "unpaid > paid",
        "unpaid > overdue",
        "unpaid > cancelled",
        "overdue > paid",
        "overdue > cancelled",
    },
    "claims": {"pending > confirmed", "pending > released", "confirmed > released"},
    "waitlist": {"waiting > offered", "waiting > left"},
}
"""All that there are."""
START: dict[str, set[str]] = {
    "enrollments": {"active", "completed", "dropped", "expired"},
    "transactions": {"pending"},
    "invoices": {"unpaid", "paid"},
    "claims": {"pending", "confirmed"},
    "waitlist": {"waiting"},
}
ROWS = {
    "enrollments": "other_enrollment",
    "transactions": "pending",
    "invoices": "invoice",
    "claims": "claim",
    "waitlist": "waiting",
}
"""The row of `World` whose status is changed."""
DATES = {
    "enrollments": {"completion_date": "2300-01-01"},
    "transactions": {"completed_at": "2026-02-01", "gateway_transaction_id": "g-2"},
    "invoices": {},
    "claims": {},
    "waitlist": {},
}
"""What a state may ask for besides."""


@pytest.fixture
def undated(root: Connection) -> None:
    """A claim's status and its date go together, which is no matter of steps."""
    root.exec_driver_sql("ALTER TABLE claims DROP CONSTRAINT ck_claims_settled_at")


def states_of(table: str) -> States:
    found: States = Base.metadata.tables[table].info["states"]
    return found


def test_the_tables_that_have_steps() -> None:
    assert {name for name, table in Base.metadata.tables.items() if "states" in table.info} == set(
        STEPS
    )


@pytest.mark.parametrize("table", STEPS)
def test_the_steps_of_a_table(root: Connection, world: World, table: str) -> None:
    states = states_of(table)
    assert {f"{before} > {after}" for before, after in states.edges()} == STEPS[table]
    assert set(states.steps) == set(STATUS[table])
    arguments = scalar(
        root,
        "SELECT tgargs FROM pg_trigger WHERE tgname = 'refuse_illegal_step' "
        f"AND tgrelid = '{table}'::regclass AND tgenabled = 'O'",
    )
    # Each ends with a zero byte.
    assert {each.decode() for each in bytes(arguments).split(b"\0")[:-1]} == STEPS[table]


@pytest.mark.parametrize("table", STEPS)
def test_the_reference_draws_the_steps(table: str) -> None:
    section = REFERENCE.read_text("utf-8").split(f"\n### {table}\n")[1].split("\n### ")[0]
    assert f"```mermaid\n{states_of(table).diagram()}\n```" in section


@pytest.mark.usefixtures("undated")
@pytest.mark.parametrize(
    ("table", "before", "after"),
    [(table, *pair) for table, status in STATUS.items() for pair in product(status, repeat=2)],
)
def test_refuse_illegal_step(
    root: Connection, world: World, table: str, before: str, after: str
) -> None:
    row = f"WHERE id = '{getattr(world, ROWS[table])}'"
    insert_copy(root, world, "invoices")  # which a completed payment has
    dates = "".join(f", {name} = '{value}'" for name, value in DATES[table].items())
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")  # past the guard
    root.exec_driver_sql(f"UPDATE {table} SET status = '{before}'{dates} {row}")
    root.exec_driver_sql("SET LOCAL session_replication_role = origin")
    step = f"UPDATE {table} SET status = '{after}' {row}"
    if before == after or f"{before} > {after}" in STEPS[table]:
        root.exec_driver_sql(step)
        assert scalar(root, f"SELECT status FROM {table} {row}") == after
    else:
        with pytest.raises(IllegalStep, match=f"{table} .* from {before} to {after}"):
            root.exec_driver_sql(step)


@pytest.mark.usefixtures("undated")
@pytest.mark.parametrize(
    ("table", "status"), [(table, state) for table, status in STATUS.items() for state in status]
)
def test_refuse_illegal_step_at_the_start(
    root: Connection, world: World, table: str, status: str
) -> None:
    values = {"status": status, **DATES[table]}
    if status in START[table]:
        insert_copy(root, world, table, **values)
    else:
        with pytest.raises(IllegalStep, match=f"{table} .* from nothing to {status}"):
            insert_copy(root, world, table, **values)


@pytest.mark.parametrize("table", STEPS)
def test_the_states_that_a_row_starts_in(root: Connection, world: World, table: str) -> None:
    start = states_of(table).start
    assert START[table] == set(STATUS[table] if start is None else start)
    definition = scalar(
        root,
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'refuse_illegal_start' "
        f"AND tgrelid = '{table}'::regclass AND tgenabled = 'O'",
    )
    named = {status for status in STATUS[table] if f"'{status}'" in (definition or "")}
    assert named == set(start or ())
