"""Each role has the rights that it needs, table by table, and no other."""

from __future__ import annotations

from collections import defaultdict

import pytest
from sqlalchemy import Connection

from elearning.models import Base, User, grants
from elearning.models.routines import FUNCTIONS

ROWS = {"SELECT", "INSERT", "UPDATE", "DELETE"}
OPEN = {"SELECT", "INSERT", "UPDATE"}
READ = {"SELECT"}

APP = {
    "users": {"SELECT", "INSERT", "DELETE"},
    "user_profiles": ROWS,
    "user_tokens": {"SELECT", "INSERT", "DELETE"},
    "course_categories": OPEN,
    "courses": READ,
    "course_modules": OPEN,
    "course_lessons": OPEN,
    "course_prerequisites": {"SELECT", "INSERT", "DELETE"},
    "course_statistics": READ,
    "course_ratings": READ,
    "course_search": READ,
    "course_popularity": READ,
    "course_months": READ,
    "course_revenue": READ,
    "platform_counters": READ,
    "course_seats": READ,
    "waitlist": READ,
    "claims": READ,
    "claim_outcomes": READ,
    "enrollments": {"SELECT", "DELETE"},
    "lesson_progress": {"SELECT", "DELETE"},
    "quiz_attempts": {"SELECT", "INSERT"},
    "certificates": {"SELECT", "INSERT"},
    "course_reviews": ROWS,
    "review_reports": {"SELECT", "INSERT"},
    "payment_methods": ROWS,
    "transactions": {"SELECT", "INSERT"},
    "invoices": READ,
    "invoice_counters": READ,
    "hosted_regions": READ,
    "outbox": ROWS,
    "alembic_version": READ,
}
"""On whole tables; on columns there is more."""

KEPT = {
    "courses": {"instructor_name", "rating_sum", "total_ratings", "rating"},
    "enrollments": {
        "claim_id",
        "total_lessons",
        "completed_lessons",
        "progress_percentage",
    },
    "lesson_progress": {"archived"},
}
"""Columns that triggers write, where an application writes the others."""

COLUMNS = {
    "transactions": {
        "UPDATE": {"status", "gateway_transaction_id", "completed_at", "payment_method_id"}
    },
    "invoices": {"UPDATE": {"status"}},
    "user_tokens": {"UPDATE": {"used_at"}},
    "certificates": {"UPDATE": {"revoked_at", "revocation_reason"}},
    "review_reports": {"UPDATE": {"resolved_at"}},
}

REPLICATOR = {
    "course_categories",
    "courses",
    "course_modules",
    "course_lessons",
    "course_prerequisites",
    "course_ratings",
    "course_statistics",
}

SEARCH = {
    "search_config",
    "search_words",
    "search_letters",
    "search_signs",
    "search_vector",
    "search_title",
    "misspellings",
    "search_queries",
    "search_query",
    "search_number",
}

CALLS = {
    "elearning_app": {
        "region_code",
        "region_code_of",
        "new_id",
        "require_read_committed",
        "region_name",
        "is_home",
        "claim_home",
        "require_home",
        "require_open",
        "require_prerequisites",
        "require_fresh_claim",
        "claim_seat",
        "claim_email",
        "use_claim",
        "use_emails",
        "settle_claim",
        "confirm_claim",
        "release_claim",
        "give_back_claim",
        "adopt_claim",
        "lock_seats",
        "lose_claim",
        "offer_all_seats",
        "prune_claims",
        "fold_platform_counters",
        "month_of",
        "join_waitlist",
        "leave_waitlist",
        "change_email",
        "check_enrollment",
        "create_user_with_profile",
        "enroll_user",
        "complete_transaction",
        *SEARCH,
    },
    "elearning_reader": SEARCH,
}

Rights = dict[str, dict[str, set[str]]]
"""By role and table."""


def on_tables(connection: Connection) -> Rights:
    found: Rights = defaultdict(lambda: defaultdict(set))
    rows = connection.exec_driver_sql(
        "SELECT coalesce(rolname, 'PUBLIC'), relname, privilege_type "
        "FROM pg_class CROSS JOIN aclexplode(relacl) LEFT JOIN pg_roles ON pg_roles.oid = grantee "
        "WHERE relnamespace = 'public'::regnamespace AND grantee <> relowner"
    )
    for role, table, right in rows:
        found[role][table].add(right)
    return found


def on_columns(connection: Connection) -> dict[str, dict[str, dict[str, set[str]]]]:
    """Return them by role, table and right."""
    found: dict[str, dict[str, dict[str, set[str]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(set))
    )
    rows = connection.exec_driver_sql(
        "SELECT coalesce(rolname, 'PUBLIC'), relname, privilege_type, attname "
        "FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "CROSS JOIN aclexplode(attacl) LEFT JOIN pg_roles ON pg_roles.oid = grantee "
        "WHERE relnamespace = 'public'::regnamespace"
    )
    for role, table, right, column in rows:
        found[role][table][right].add(column)
    return found


def test_every_table_has_an_entry(root: Connection) -> None:
    tables = set(Base.metadata.tables)
    assert set(grants._APP_MAY) == tables
    assert set(grants._KEPT) <= tables
    there = root.exec_driver_sql(
        "SELECT relname FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f')"
    )
    assert set(there.scalars()) == tables | {"alembic_version"}
    assert set(APP) == tables | {"alembic_version"}


def test_rights_on_tables(root: Connection) -> None:
    assert on_tables(root) == {
        "elearning_app": APP,
        "elearning_reader": dict.fromkeys(APP, READ),
        "elearning_replicator": dict.fromkeys(REPLICATOR, READ),
    }


def test_rights_on_columns(root: Connection) -> None:
    expected = dict(COLUMNS)
    for table, kept in KEPT.items():
        columns = {
            column.name for column in Base.metadata.tables[table].columns if not column.system
        }
        expected[table] = {"INSERT": columns - kept, "UPDATE": columns - kept}
    # An address is given with the account, and changed by change_email.
    expected["users"] = {
        "UPDATE": {column.name for column in User.__table__.columns if not column.system}
        - {"email"}
    }
    assert on_columns(root) == {"elearning_app": expected}


@pytest.mark.parametrize(
    "role", ["elearning_app", "elearning_reader", "elearning_replicator", "public"]
)
def test_rights_on_routines(root: Connection, role: str) -> None:
    callable_ones = root.exec_driver_sql(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        f"AND has_function_privilege('{role}', oid, 'EXECUTE')"
    )
    assert set(callable_ones.scalars()) == CALLS.get(role, set())


def test_every_routine_is_ours_and_runs_as_whom_it_should(root: Connection) -> None:
    routines = {
        name: (owner, as_owner, settings)
        for name, owner, as_owner, settings in root.exec_driver_sql(
            "SELECT proname, proowner::regrole::text, prosecdef, proconfig "
            "FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        )
    }
    assert set(routines) == set(FUNCTIONS)
    assert {owner for owner, _, _ in routines.values()} == {"elearning_owner"}
    # Those write what nobody else may; with a fixed path, so that nobody leads them astray.
    assert {name for name, (_, as_owner, _) in routines.items() if as_owner} == {
        "adopt_claim",
        "change_email",
        "claim_email",
        "claim_seat",
        "complete_transaction",
        "confirm_claim",
        "count_courses",
        "count_payments",
        "count_users",
        "enroll_user",
        "fold_platform_counters",
        "give_back_claim",
        "give_back_email",
        "give_back_seat",
        "join_waitlist",
        "keep_course_search",
        "keep_instructor_name",
        "leave_waitlist",
        "lock_seats",
        "lose_claim",
        "offer_new_seats",
        "offer_seats",
        "offer_all_seats",
        "prune_claims",
        "refuse_foreign_lesson",
        "release_claim",
        "require_seat",
        "settle_claim",
        "sum_course_ratings",
        "update_course_rating",
        "update_course_statistics",
        "update_enrolled_lessons",
        "update_enrollment_progress",
        "use_claim",
        "use_emails",
    }
    for name, (_, as_owner, settings) in routines.items():
        assert not as_owner or settings == ["search_path=public, pg_temp"], name


def test_what_the_roles_are(root: Connection) -> None:
    rows = root.exec_driver_sql(
        "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls, rolreplication "
        "FROM pg_roles WHERE rolname LIKE 'elearning%%'"
    )
    assert {name: (mighty, replicates) for name, mighty, replicates in rows} == {
        "elearning_owner": (False, False),
        "elearning_app": (False, False),
        "elearning_reader": (False, False),
        "elearning_replicator": (False, True),
    }
    members = root.exec_driver_sql(
        "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members "
        "WHERE member::regrole::text LIKE 'elearning%%'"
    )
    assert {tuple(row) for row in members} == {
        ("elearning_owner", "pg_create_subscription"),
        ("elearning_reader", "pg_monitor"),
    }
