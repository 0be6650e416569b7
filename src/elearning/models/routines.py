"""The functions of a shard, and what `create_all` runs after the tables.

The files of `sql/` hold the current text of every function. Revisions carry
their own copies; a test compares the catalogs that both ways lead to.
"""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import DDL, event

from elearning.models.base import Base
from elearning.models.grants import grant_statements
from elearning.models.triggers import trigger_texts

__all__ = ["FUNCTIONS", "attach_routines", "function_text"]

FUNCTIONS = (
    "region_code",
    "region_code_of",
    "region_name",
    "is_home",
    "new_id",
    "update_modified_timestamp",
    "require_read_committed",
    "refuse_misrouted_row",
    "refuse_fixed_change",
    "refuse_illegal_step",
    "refuse_settled_change",
    "refuse_wrong_refund",
    "require_invoice",
    "refuse_foreign_lesson",
    "keep_instructor_name",
    "update_enrollment_progress",
    "update_enrolled_lessons",
    "month_of",
    "count_course",
    "count_months",
    "update_course_statistics",
    "update_course_rating",
    "sum_course_ratings",
    "count_users",
    "count_courses",
    "count_payments",
    "fold_platform_counters",
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
    "keep_course_search",
    "refuse_category_cycle",
    "refuse_prerequisite_cycle",
    "require_fresh_claim",
    "claim_home",
    "require_home",
    "require_open",
    "require_prerequisites",
    "check_enrollment",
    "require_seat",
    "use_claim",
    "settle_claim",
    "confirm_claim",
    "offer_seats",
    "offer_new_seats",
    "release_claim",
    "give_back_claim",
    "give_back_seat",
    "give_back_email",
    "claim_seat",
    "claim_email",
    "adopt_claim",
    "use_emails",
    "change_email",
    "join_waitlist",
    "leave_waitlist",
    "lock_seats",
    "lose_claim",
    "offer_all_seats",
    "prune_claims",
    "create_user_with_profile",
    "enroll_user",
    "complete_transaction",
)
"""In the order in which they can be created, after the tables."""


def function_text(name: str) -> str:
    """Return the current text of a function."""
    return files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")


def attach_routines() -> None:
    """Make ``Base.metadata.create_all`` create functions, triggers and grants too."""
    texts = [function_text(name) for name in FUNCTIONS]
    for table in Base.metadata.sorted_tables:
        texts += trigger_texts(table)
    for text in [*texts, *grant_statements(FUNCTIONS)]:
        # DDL() formats its text with "%", which our functions use themselves.
        event.listen(Base.metadata, "after_create", DDL(text.replace("%", "%%")))
