"""Every CHECK and every unique key is violated once, alone, and names itself."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Connection, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.exc import IntegrityError

from elearning.ids import new_id
from elearning.models import Base
from tests.models.test_foreign_keys import DANGLING
from tests.models.world import World, insert_copy

pytestmark = pytest.mark.unmeasured

Changes = dict[str, Any]

HASH = "$argon2id$hash"
BLANK = " \n\t"
AFRICAN = new_id("africa")
"""An id of a region that the shard hosts, and which is not the row's."""
SELF = new_id("europe")
ADDRESS = rf"\x{bytes(36).hex()}"
"""What a claim of an email address is about: as long as a hash is."""

CHECKS: dict[str, Changes] = {
    "ck_course_categories_category_name": {"category_name": BLANK},
    "ck_course_categories_parent": {"id": SELF, "parent_id": SELF},
    "ck_course_categories_slug": {"slug": ""},
    "ck_claim_outcomes_claim_kind": {"kind": "tea"},
    "ck_claim_outcomes_claim_result": {"outcome": "lost"},
    "ck_claims_claim_kind": {"kind": "tea", "fact": ADDRESS},
    "ck_claims_claim_status": {"status": "lost"},
    "ck_claims_fact": {"fact": ADDRESS},
    "ck_claims_settled_at": {"settled_at": None},
    "ck_hosted_regions_region_code": {"region_code": 7},
    "ck_invoice_counters_last_number": {"last_number": -1},
    "ck_invoice_counters_region_code": {"region_code": 0},
    "ck_users_email": {"email": "Copy@example.com"},
    "ck_users_first_name": {"first_name": BLANK},
    "ck_users_last_name": {"last_name": BLANK},
    "ck_users_password_is_hashed": {"password_hash": "plain"},
    "ck_users_region": {"region": "atlantis"},
    "ck_users_region_of_id": {"region": "africa"},
    "ck_users_user_status": {"status": "asleep"},
    "ck_users_user_type": {"user_type": "wizard"},
    "ck_courses_access_days": {"access_days": 0},
    "ck_courses_archived_at": {"status": "archived"},
    "ck_courses_course_code": {"course_code": BLANK},
    "ck_courses_course_level": {"level": "divine"},
    "ck_courses_course_status": {"status": "lost"},
    "ck_courses_currency": {"currency": "eur"},
    "ck_courses_duration_hours": {"duration_hours": -0.01},
    "ck_courses_enrollment_closes_at": {
        "enrollment_opens_at": "2026-02-01",
        "enrollment_closes_at": "2026-02-01",
    },
    "ck_courses_home": {"id": AFRICAN},
    "ck_courses_language": {"language": BLANK},
    "ck_courses_max_enrollments": {"max_enrollments": 0},
    "ck_courses_price": {"price": -1},
    "ck_courses_published_at": {"published_at": None},
    "ck_courses_rating": {"rating_sum": 6, "total_ratings": 1},
    "ck_courses_slug": {"slug": BLANK},
    "ck_courses_title": {"title": BLANK},
    "ck_courses_total_ratings": {"rating_sum": -3, "total_ratings": -1},
    "ck_payment_methods_expiry": {"expiry_month": 2},
    "ck_payment_methods_expiry_month": {"expiry_month": 13, "expiry_year": 2030},
    "ck_payment_methods_expiry_year": {"expiry_month": 1, "expiry_year": 30},
    "ck_payment_methods_home": {"id": AFRICAN},
    "ck_payment_methods_last_four": {"last_four": "12x4"},
    "ck_payment_methods_payment_method_type": {"method_type": "shells"},
    "ck_user_profiles_country": {"country": "es"},
    "ck_user_profiles_home": {"id": AFRICAN},
    "ck_user_tokens_home": {"id": AFRICAN},
    "ck_user_tokens_token_hash": {"token_hash": ADDRESS},
    "ck_user_tokens_token_purpose": {"purpose": "tea"},
    "ck_course_modules_home": {"id": AFRICAN},
    "ck_course_modules_position": {"position": 0},
    "ck_course_modules_title": {"title": BLANK},
    "ck_course_prerequisites_home": {"id": AFRICAN},
    "ck_course_prerequisites_prerequisite_id": {"course_id": SELF, "prerequisite_id": SELF},
    "ck_course_months_completed": {"enrolled": 2, "started": 1, "completed": 2},
    "ck_course_months_ended": {"ended": 9},
    "ck_course_months_enrolled": {"enrolled": -1, "started": 0, "completed": 0, "ended": 0},
    "ck_course_months_month": {"month": "2001-01-02"},
    "ck_course_months_region_code": {"region_code": 7},
    "ck_course_months_started": {"started": 9},
    "ck_course_popularity_completions": {"completions": -1},
    "ck_course_popularity_enrollments": {"enrollments": -1},
    "ck_course_ratings_number": {"number": -1},
    "ck_course_ratings_rating": {"rating": 6},
    "ck_course_ratings_region_code": {"region_code": 7},
    "ck_course_revenue_currency": {"currency": "eur"},
    "ck_course_revenue_month": {"month": "2001-01-02"},
    "ck_course_revenue_paid": {"paid": -1},
    "ck_course_revenue_payments": {"payments": -1},
    "ck_course_revenue_refunded": {"refunded": -1},
    "ck_course_revenue_refunds": {"refunds": -1},
    "ck_course_revenue_region_code": {"region_code": 0},
    "ck_course_seats_taken": {"taken": -1},
    "ck_course_statistics_completions": {"enrollments": 1, "completions": 2},
    "ck_course_statistics_enrollments": {"enrollments": -1, "completions": 0},
    "ck_course_statistics_rating": {"rating_sum": 6, "total_ratings": 1},
    "ck_course_statistics_region_code": {"region_code": 7},
    "ck_enrollments_completed_lessons": {"total_lessons": 1, "completed_lessons": 2},
    "ck_enrollments_completion": {"status": "completed"},
    "ck_enrollments_completion_date": {
        "enrollment_date": "2026-02-02",
        "completion_date": "2026-02-01",
    },
    "ck_enrollments_enrollment_status": {"status": "asleep"},
    "ck_enrollments_home": {"id": AFRICAN},
    "ck_enrollments_progress_percentage": {"total_lessons": 2, "completed_lessons": -1},
    "ck_platform_counters_month": {"month": "2001-01-02"},
    "ck_platform_counters_region_code": {"region_code": 7},
    "ck_transactions_amount": {"amount": -1},
    "ck_transactions_completed_at": {"status": "completed", "completed_at": "2026-02-01"},
    "ck_transactions_currency": {"currency": "EURO"[:2]},
    "ck_transactions_gateway": {"gateway": BLANK},
    "ck_transactions_gateway_transaction_id": {"gateway_transaction_id": BLANK},
    "ck_transactions_home": {"id": AFRICAN},
    "ck_transactions_refund_of_id": {"transaction_type": "refund"},
    "ck_transactions_transaction_status": {"status": "lost"},
    "ck_transactions_transaction_type": {"transaction_type": "gift"},
    "ck_course_lessons_completion_rule": {"completion_rule": "slept", "completion_threshold": 9},
    "ck_course_lessons_completion_threshold": {
        "completion_rule": "score",
        "completion_threshold": 101,
    },
    "ck_course_lessons_completion_threshold_rule": {"completion_rule": "watched"},
    "ck_course_lessons_duration_minutes": {"duration_minutes": -1},
    "ck_course_lessons_home": {"id": AFRICAN},
    "ck_course_lessons_lesson_type": {"lesson_type": "nap"},
    "ck_course_lessons_position": {"position": 0},
    "ck_course_lessons_title": {"title": BLANK},
    "ck_certificates_code": {"code": BLANK},
    "ck_certificates_grade": {"grade": 100.01},
    "ck_certificates_home": {"id": AFRICAN},
    "ck_certificates_recipient_name": {"recipient_name": BLANK},
    "ck_certificates_revocation_reason": {"revoked_at": "2026-02-01"},
    "ck_course_reviews_answered_at": {"answer": "Thanks"},
    "ck_course_reviews_hidden_reason": {"hidden_at": "2026-02-01"},
    "ck_course_reviews_home": {"id": AFRICAN},
    "ck_course_reviews_rating": {"rating": 6},
    "ck_invoices_amounts": {"subtotal": -1, "tax": 2, "discount": 0, "total": 1},
    "ck_invoices_currency": {"currency": "€"},
    "ck_invoices_due_date": {"invoice_date": "2026-02-02", "due_date": "2026-02-01"},
    "ck_invoices_home": {"id": AFRICAN},
    "ck_invoices_invoice_status": {"status": "lost"},
    "ck_invoices_total": {"subtotal": 100, "tax": 10, "discount": 0, "total": 111},
    "ck_lesson_progress_best_score": {"best_score": -0.01},
    "ck_lesson_progress_completion_date": {"completed": True},
    "ck_lesson_progress_home": {"id": AFRICAN},
    "ck_lesson_progress_last_position": {"last_position": -1},
    "ck_lesson_progress_time_spent": {"time_spent": -1},
    "ck_lesson_progress_watched": {"watched": -1},
    "ck_quiz_attempts_home": {"id": AFRICAN},
    "ck_quiz_attempts_number": {"number": 0},
    "ck_quiz_attempts_score": {"score": 100.01},
    "ck_review_reports_home": {"id": AFRICAN},
    "ck_review_reports_report_reason": {"reason": "tea"},
    "ck_waitlist_waitlist_status": {"status": "lost"},
}
"""What is wrong with a copy of a row; the constraint names the table."""

UNIQUE: dict[str, tuple[str, ...]] = {
    "idx_users_email": ("email",),
    "uq_course_categories_slug": ("slug",),
    "uq_course_categories_category_name": ("category_name",),
    "uq_courses_course_code": ("course_code",),
    "uq_courses_slug": ("slug",),
    "uq_payment_methods_default": ("is_default",),
    "uq_payment_methods_id_user_id": ("id",),
    "uq_user_profiles_user_id": ("user_id",),
    "uq_course_modules_course_id_position": ("position",),
    "uq_course_prerequisites_course_id_prerequisite_id": ("course_id", "prerequisite_id"),
    "uq_enrollments_claim_id": ("claim_id",),
    "uq_enrollments_user_id_course_id": ("user_id", "course_id"),
    "uq_enrollments_id_course_id": ("id", "course_id"),
    "uq_transactions_gateway_transaction_id": ("gateway_transaction_id",),
    "uq_course_lessons_module_id_position": ("position",),
    "uq_course_reviews_enrollment_id": ("enrollment_id",),
    "uq_invoices_transaction_id": ("transaction_id",),
    "uq_invoices_invoice_number": ("invoice_number",),
    "uq_lesson_progress_enrollment_id_lesson_id": ("enrollment_id",),
    "uq_quiz_attempts_enrollment_id_lesson_id_number": ("number",),
    "uq_certificates_code": ("code",),
    "uq_certificates_enrollment_id": ("enrollment_id",),
    "uq_review_reports_review_id_reporter_id": ("reporter_id",),
    "uq_claims_seat": ("holder_id",),
    "uq_waitlist_course_id_user_id": ("user_id",),
}
"""What a copy of a row has in common with it, besides what it may."""

TWICE: dict[str, Changes] = {
    # The row that there is claims a seat.
    "uq_claims_email": {"kind": "email", "fact": ADDRESS},
    "uq_user_tokens_token_hash": {"token_hash": rf"\x{bytes(32).hex()}"},
}
"""Copies of a row that there may be one of."""

FOLLOWS = {
    # No number is up to less than none.
    "ck_course_statistics_enrollments": ["ck_course_statistics_completions"],
    "ck_course_months_enrolled": ["ck_course_months_started", "ck_course_months_ended"],
    # The percentage is below 0 only where the counter that it is computed from is.
    "ck_enrollments_progress_percentage": ["ck_enrollments_completed_lessons"],
    # For foreign keys of two columns to refer to: the first alone is unique.
    "uq_enrollments_id_course_id": ["pk_enrollments"],
    "uq_payment_methods_id_user_id": ["pk_payment_methods"],
}
"""What no row violates alone, and what it violates besides."""


def keys() -> dict[str, tuple[str, str]]:
    """Return all constraints and unique indexes but primary keys: table and kind."""
    found = {}
    for table in Base.metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint | UniqueConstraint | ForeignKeyConstraint):
                found[str(constraint.name)] = table.name, "CONSTRAINT"
        for index in table.indexes:
            if index.unique:
                found[str(index.name)] = table.name, "INDEX"
    return found


def without(connection: Connection, name: str, table: str, kind: str = "CONSTRAINT") -> None:
    connection.exec_driver_sql(
        f"DROP INDEX {name} CASCADE"
        if kind == "INDEX"
        else f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"
    )


def without_triggers(connection: Connection, table: str) -> None:
    """Leave the constraints alone: a trigger would refuse some rows before, or mend them."""
    connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")


def test_every_constraint_has_a_row_that_violates_it() -> None:
    assert keys().keys() == {*CHECKS, *UNIQUE, *TWICE, *DANGLING}


@pytest.mark.parametrize("name", [*CHECKS, *UNIQUE, *TWICE])
def test_a_row_that_violates_one_constraint(root: Connection, world: World, name: str) -> None:
    table, kind = keys()[name]
    changes = CHECKS.get(name) or TWICE.get(name) or original(root, world, table, UNIQUE[name])
    without_triggers(root, table)
    if name in TWICE:
        insert_copy(root, world, table, **changes)
    for other in FOLLOWS.get(name, ()):
        without(root, other, table)
    with pytest.raises(IntegrityError) as caught, root.begin_nested():
        insert_copy(root, world, table, **changes)
    assert caught.value.orig.diag.constraint_name == name  # type: ignore[union-attr]
    # It is the only thing that is wrong.
    without(root, name, table, kind)
    insert_copy(root, world, table, **changes)


@pytest.mark.parametrize("table", list(Base.metadata.tables))
def test_a_copy_is_refused_by_nothing(root: Connection, world: World, table: str) -> None:
    insert_copy(root, world, table)


def original(connection: Connection, world: World, table: str, columns: tuple[str, ...]) -> Changes:
    found = connection.exec_driver_sql(
        f"SELECT {', '.join(columns)} FROM {table} WHERE {world.where(table)}"
    )
    return dict(found.mappings().one())


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if not (column.nullable or column.system or column.computed or column.identity)
    ],
)
def test_what_may_not_be_null(root: Connection, world: World, table: str, column: str) -> None:
    without_triggers(root, table)
    with pytest.raises(IntegrityError, match="violates not-null constraint") as caught:
        insert_copy(root, world, table, **{column: None})
    assert caught.value.orig.diag.column_name == column  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("courses", "slug"),
        ("courses", "course_code"),
        ("course_categories", "slug"),
        ("course_categories", "category_name"),
    ],
)
def test_a_name_is_unique_in_its_home_region(
    root: Connection, world: World, table: str, column: str
) -> None:
    same = original(root, world, table, (column,))
    with pytest.raises(IntegrityError, match=f"uq_{table}_{column}"), root.begin_nested():
        insert_copy(root, world, table, **same)
    # The other region of the same shard has names of its own.
    elsewhere = {"instructor_id": world.african} if table == "courses" else {}
    insert_copy(root, world, table, **same, **elsewhere, id=new_id("africa"))


def test_each_gateway_has_ids_of_its_own(root: Connection, world: World) -> None:
    same = original(root, world, "transactions", ("gateway_transaction_id",))
    insert_copy(root, world, "transactions", **same, gateway="another")


def test_many_methods_and_one_default(root: Connection, world: World) -> None:
    for _ in range(2):
        insert_copy(root, world, "payment_methods")
    insert_copy(root, world, "payment_methods", user_id=world.other, is_default=True)
    with pytest.raises(IntegrityError, match="uq_payment_methods_default"):
        insert_copy(root, world, "payment_methods", user_id=world.other, is_default=True)


@pytest.mark.parametrize(
    "email",
    [
        "Ada@example.com",
        "ada@Example.com",
        "ada",
        "@example.com",
        "ada@",
        "ada@a@example.com",
        "ada @example.com",
        " ada@example.com",
        "ada@example.com\n",
    ],
)
def test_an_address_that_is_not_normalized(root: Connection, world: World, email: str) -> None:
    with pytest.raises(IntegrityError, match="ck_users_email"):
        insert_copy(root, world, "users", email=email)


@pytest.mark.parametrize("wrong", [{"first_name": ""}, {"first_name": None}])
def test_a_row_that_is_refused_is_not_told(
    root: Connection, world: World, wrong: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError, match="first_name") as caught:
        insert_copy(root, world, "users", **wrong, password_hash=HASH)
    assert HASH not in "".join(traceback.format_exception(caught.value))


def test_an_address_is_unique_on_its_shard(root: Connection, world: World) -> None:
    same = original(root, world, "users", ("email",))
    with pytest.raises(IntegrityError, match="idx_users_email"):
        insert_copy(root, world, "users", **same, id=new_id("africa"), region="africa")
