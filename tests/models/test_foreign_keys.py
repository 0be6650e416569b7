"""What each foreign key refuses, and what it does when the other row is deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, ForeignKeyConstraint
from sqlalchemy.exc import IntegrityError

from elearning.ids import new_id
from elearning.models import Base
from tests.models.world import World, insert_copy

STRANGER = new_id("europe")

DANGLING: dict[str, Callable[[World], dict[str, Any]]] = {
    "fk_course_categories_parent_id": lambda _: {"parent_id": STRANGER},
    "fk_courses_category_id": lambda _: {"category_id": STRANGER},
    "fk_courses_instructor_id": lambda _: {"instructor_id": STRANGER},
    "fk_payment_methods_user_id": lambda _: {"user_id": STRANGER},
    "fk_user_profiles_user_id": lambda _: {"user_id": STRANGER},
    "fk_user_tokens_user_id": lambda _: {"user_id": STRANGER},
    "fk_course_modules_course_id": lambda _: {"course_id": STRANGER},
    "fk_course_prerequisites_course_id": lambda _: {"course_id": STRANGER},
    "fk_course_prerequisites_prerequisite_id": lambda _: {"prerequisite_id": STRANGER},
    "fk_course_seats_course_id": lambda _: {"course_id": STRANGER},
    "fk_course_statistics_course_id": lambda _: {"course_id": STRANGER},
    "fk_course_ratings_course_id": lambda _: {"course_id": STRANGER},
    "fk_course_months_course_id": lambda _: {"course_id": STRANGER},
    "fk_course_revenue_course_id": lambda _: {"course_id": STRANGER},
    "fk_waitlist_course_id": lambda _: {"course_id": STRANGER},
    "fk_enrollments_course_id": lambda _: {"course_id": STRANGER},
    "fk_enrollments_user_id": lambda _: {"user_id": STRANGER},
    "fk_transactions_course_id": lambda _: {"course_id": STRANGER},
    # Somebody else's card.
    "fk_transactions_payment_method_id": lambda world: {"user_id": world.other},
    "fk_transactions_refund_of_id": lambda _: {
        "refund_of_id": STRANGER,
        "transaction_type": "refund",
    },
    "fk_transactions_user_id": lambda _: {"user_id": STRANGER, "payment_method_id": None},
    "fk_course_lessons_module_id": lambda _: {"module_id": STRANGER},
    "fk_course_reviews_course_id": lambda _: {"course_id": STRANGER},
    # Another course than the enrollment's.
    "fk_course_reviews_enrollment_id": lambda world: {"course_id": world.other_course},
    "fk_invoices_transaction_id": lambda _: {"transaction_id": STRANGER},
    "fk_lesson_progress_enrollment_id": lambda _: {"enrollment_id": STRANGER},
    "fk_lesson_progress_lesson_id": lambda _: {"lesson_id": STRANGER},
    "fk_quiz_attempts_enrollment_id": lambda _: {"enrollment_id": STRANGER},
    "fk_quiz_attempts_lesson_id": lambda _: {"lesson_id": STRANGER},
    "fk_certificates_enrollment_id": lambda _: {"enrollment_id": STRANGER},
    "fk_review_reports_review_id": lambda _: {"review_id": STRANGER},
}
"""What a copy of a row refers to in vain."""

ON_DELETE = {
    "fk_course_categories_parent_id": "RESTRICT",
    "fk_courses_category_id": "RESTRICT",
    "fk_courses_instructor_id": "RESTRICT",
    "fk_payment_methods_user_id": "CASCADE",
    "fk_user_profiles_user_id": "CASCADE",
    "fk_user_tokens_user_id": "CASCADE",
    "fk_course_modules_course_id": "RESTRICT",
    "fk_course_prerequisites_course_id": "RESTRICT",
    "fk_course_prerequisites_prerequisite_id": "RESTRICT",
    "fk_course_seats_course_id": "RESTRICT",
    "fk_course_statistics_course_id": "RESTRICT",
    "fk_course_ratings_course_id": "RESTRICT",
    "fk_course_months_course_id": "RESTRICT",
    "fk_course_revenue_course_id": "RESTRICT",
    "fk_waitlist_course_id": "RESTRICT",
    "fk_enrollments_course_id": "RESTRICT",
    "fk_enrollments_user_id": "CASCADE",
    "fk_transactions_course_id": "RESTRICT",
    "fk_transactions_payment_method_id": "SET NULL (payment_method_id)",
    "fk_transactions_refund_of_id": "RESTRICT",
    "fk_transactions_user_id": "RESTRICT",
    "fk_course_lessons_module_id": "RESTRICT",
    "fk_course_reviews_course_id": "RESTRICT",
    "fk_course_reviews_enrollment_id": "CASCADE",
    "fk_invoices_transaction_id": "RESTRICT",
    "fk_lesson_progress_enrollment_id": "CASCADE",
    "fk_lesson_progress_lesson_id": "RESTRICT",
    "fk_quiz_attempts_enrollment_id": "CASCADE",
    "fk_quiz_attempts_lesson_id": "RESTRICT",
    "fk_certificates_enrollment_id": "CASCADE",
    "fk_review_reports_review_id": "CASCADE",
}
"""Money and courses stay; what is a part of an account goes with it."""

KEYS = {
    str(key.name): key
    for table in Base.metadata.sorted_tables
    for key in table.constraints
    if isinstance(key, ForeignKeyConstraint)
}


def test_every_foreign_key_says_what_a_deletion_does() -> None:
    assert {name: key.ondelete for name, key in KEYS.items()} == ON_DELETE


@pytest.mark.parametrize("name", DANGLING)
def test_a_row_that_refers_to_none(root: Connection, world: World, name: str) -> None:
    table = KEYS[name].table.name
    changes = DANGLING[name](world)
    if name == "fk_course_reviews_course_id":
        # A course that is not there is not the enrollment's either.
        drop(root, "fk_course_reviews_enrollment_id")
    with pytest.raises(IntegrityError) as caught, root.begin_nested():
        insert_copy(root, world, table, **changes)
    assert caught.value.orig.diag.constraint_name == name  # type: ignore[union-attr]
    drop(root, name)
    if name in ("fk_enrollments_course_id", "fk_course_reviews_course_id"):
        # Where they are counted.
        for counters in ("statistics", "months", "ratings"):
            drop(root, f"fk_course_{counters}_course_id")
    insert_copy(root, world, table, **changes)


def drop(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(f"ALTER TABLE {KEYS[name].table.name} DROP CONSTRAINT {name}")


@pytest.mark.parametrize("name", ON_DELETE)
def test_on_delete(root: Connection, world: World, name: str) -> None:
    key, rule = KEYS[name], ON_DELETE[name]
    child, parent, column = key.table.name, key.referred_table.name, key.column_keys[0]
    own = referring_row(root, world, name)
    for other in KEYS.values():
        if other.referred_table is key.referred_table and other is not key:
            drop(root, str(other.name))  # this one alone decides
    before = row(root, child, own)
    deletion = f"DELETE FROM {parent} WHERE id = '{before[column]}'"
    if rule == "RESTRICT":
        with pytest.raises(IntegrityError) as caught, root.begin_nested():
            root.exec_driver_sql(deletion)
        assert caught.value.orig.diag.constraint_name == name  # type: ignore[union-attr]
        assert row(root, child, own) == before
        drop(root, name)
    assert root.exec_driver_sql(deletion).rowcount == 1
    after = row(root, child, own)
    if rule == "CASCADE":
        assert after == {}
    elif rule != "RESTRICT":
        assert after == before | {column: None, "updated_at": after["updated_at"]}


def referring_row(connection: Connection, world: World, name: str) -> str:
    """Return the condition of a row that refers to another one."""
    own = new_id("europe")
    match name:
        case "fk_course_categories_parent_id":
            insert_copy(connection, world, "course_categories", id=own, parent_id=world.category)
        case "fk_transactions_refund_of_id":
            refund = {"refund_of_id": world.payment, "transaction_type": "refund"}
            insert_copy(connection, world, "transactions", id=own, **refund)
        case _:
            return world.where(KEYS[name].table.name)
    return f"id = '{own}'"


def row(connection: Connection, table: str, where: str) -> dict[str, Any]:
    found = connection.exec_driver_sql(f"SELECT * FROM {table} WHERE {where}")
    return {name: value for each in found.mappings() for name, value in each.items()}


def test_a_deleted_card_leaves_its_payments_as_they_are(app: Connection, world: World) -> None:
    before = row(app, "transactions", world.where("transactions"))
    invoice = row(app, "invoices", world.where("invoices"))
    assert (before["status"], before["payment_method_id"]) == ("completed", world.card)
    app.exec_driver_sql(f"DELETE FROM payment_methods WHERE id = '{world.card}'")
    after = row(app, "transactions", world.where("transactions"))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"payment_method_id", "updated_at"}
    assert after["payment_method_id"] is None
    assert row(app, "invoices", world.where("invoices")) == invoice


def test_a_deleted_account_takes_along_what_is_its_own(root: Connection, world: World) -> None:
    root.exec_driver_sql(f"DELETE FROM transactions WHERE id = '{world.pending}'")
    root.exec_driver_sql(f"DELETE FROM users WHERE id = '{world.other}'")
    assert row(root, "enrollments", f"id = '{world.other_enrollment}'") == {}
    # Whoever has paid, or teaches, stays.
    for user in (world.user, world.instructor):
        with (
            pytest.raises(IntegrityError, match=r"fk_\w+_(user|instructor)_id"),
            root.begin_nested(),
        ):
            root.exec_driver_sql(f"DELETE FROM users WHERE id = '{user}'")
