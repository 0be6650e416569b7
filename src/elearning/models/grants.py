"""Which role may do what with which table.

The roles are those of `cluster/roles.sql`; the owner, who migrates, owns all that
is here. Counters and invoices are written by routines that run as their owner, so
nobody else needs to write them. Courses are archived, never deleted: a deletion
that reached another shard would leave its enrollments without a course.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from elearning.models.base import Base
from elearning.models.publication import copied_tables

__all__ = ["APP", "READER", "REPLICATOR", "grant_statements"]

APP = "elearning_app"
"""Reads and writes rows, and calls routines."""
READER = "elearning_reader"
"""Reads rows, on replicas."""
REPLICATOR = "elearning_replicator"
"""Copies the catalog's rows to other shards."""

_ALL = "SELECT, INSERT, UPDATE, DELETE"
_OPEN = "SELECT, INSERT, UPDATE"

_APP_MAY = {
    "users": "SELECT, INSERT, UPDATE ({written}), DELETE",
    "user_profiles": _ALL,
    "user_tokens": "SELECT, INSERT, UPDATE (used_at), DELETE",
    "course_categories": _OPEN,
    "courses": "SELECT, INSERT ({written}), UPDATE ({written})",
    "course_modules": _OPEN,
    "course_lessons": _OPEN,
    "course_prerequisites": "SELECT, INSERT, DELETE",
    "course_statistics": "SELECT",
    "course_ratings": "SELECT",
    "course_search": "SELECT",
    "course_popularity": "SELECT",
    "course_months": "SELECT",
    "course_revenue": "SELECT",
    "platform_counters": "SELECT",
    "course_seats": "SELECT",
    "waitlist": "SELECT",
    "claims": "SELECT",
    "claim_outcomes": "SELECT",
    "enrollments": "SELECT, INSERT ({written}), UPDATE ({written}), DELETE",
    "lesson_progress": "SELECT, INSERT ({written}), UPDATE ({written}), DELETE",
    "quiz_attempts": "SELECT, INSERT",
    "certificates": "SELECT, INSERT, UPDATE (revoked_at, revocation_reason)",
    "course_reviews": _ALL,
    "review_reports": "SELECT, INSERT, UPDATE (resolved_at)",
    "payment_methods": _ALL,
    "transactions": "SELECT, INSERT, "
    "UPDATE (status, gateway_transaction_id, completed_at, payment_method_id)",
    "invoices": "SELECT, UPDATE (status)",
    "invoice_counters": "SELECT",
    "hosted_regions": "SELECT",
    "outbox": _ALL,
}
"""``{written}`` stands for all columns but those that routines and generation keep."""

_KEPT = {
    # An address is changed together with its claims: change_email.
    "users": {"email"},
    "courses": {"instructor_name", "rating_sum", "total_ratings"},
    "enrollments": {"claim_id", "total_lessons", "completed_lessons"},
    "lesson_progress": {"archived"},
}
_SEARCH_CALLS = (
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
)
"""They read, and run as who calls them, also on replicas."""
_APP_CALLS = (
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
    "check_enrollment",
    "require_fresh_claim",
    "claim_seat",
    "claim_email",
    "use_emails",
    "use_claim",
    "settle_claim",
    "confirm_claim",
    "release_claim",
    "adopt_claim",
    "join_waitlist",
    "leave_waitlist",
    "give_back_claim",
    "lock_seats",
    "lose_claim",
    "offer_all_seats",
    "prune_claims",
    "fold_platform_counters",
    "month_of",
    *_SEARCH_CALLS,
    "change_email",
    "create_user_with_profile",
    "enroll_user",
    "complete_transaction",
)

_SEE_REVISION = "SELECT ON alembic_version"


def grant_statements(functions: Sequence[str]) -> list[str]:
    """Return statements that leave each role just the rights that it needs.

    Running them again changes nothing. A role that the server does not have is
    passed over: with a role of one's own for everything, nothing is granted.

    Args:
        functions: all functions; by itself PostgreSQL lets everybody call them.
    """
    tables = Base.metadata.sorted_tables
    everything = ", ".join(table.name for table in tables)
    routines = ", ".join(functions)
    copied = sorted(table.name for table in copied_tables())
    grants = {
        APP: [f"{_app_may(table)} ON {table.name}" for table in tables]
        + [f"EXECUTE ON FUNCTION {', '.join(_APP_CALLS)}", _SEE_REVISION],
        READER: [
            f"SELECT ON {everything}",
            f"EXECUTE ON FUNCTION {', '.join(_SEARCH_CALLS)}",
            _SEE_REVISION,
        ],
        REPLICATOR: [f"SELECT ON {', '.join(copied)}"],
    }
    return [
        f"REVOKE ALL ON FUNCTION {routines} FROM PUBLIC",
        *(_for_role(role, everything, routines, rights) for role, rights in grants.items()),
    ]


def _app_may(table: Table) -> str:
    kept = _KEPT.get(table.name, set())
    written = [
        column.name
        for column in table.columns
        if column.name not in kept and column.computed is None and not column.system
    ]
    return _APP_MAY[table.name].format(written=", ".join(written))


def _for_role(role: str, tables: str, functions: str, rights: list[str]) -> str:
    # The table of revisions is Alembic's; after create_all there is none.
    return "\n".join(
        [
            "DO $$ BEGIN",
            f"IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN",
            f"    REVOKE ALL ON {tables} FROM {role};",
            f"    REVOKE ALL ON FUNCTION {functions} FROM {role};",
            f"    GRANT USAGE ON SCHEMA public TO {role};",
            *(f"    GRANT {right} TO {role};" for right in rights if right != _SEE_REVISION),
            "    IF to_regclass('public.alembic_version') IS NOT NULL THEN",
            f"        REVOKE ALL ON alembic_version FROM {role};",
            *(f"        GRANT {right} TO {role};" for right in rights if right == _SEE_REVISION),
            "    END IF;",
            "END IF;",
            "END $$",
        ]
    )
