"""The functions and triggers of a shard.

The files of `sql/` hold the current text of every function. Revisions carry
their own copies; a test compares the catalogs that both ways lead to.
"""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import DDL, Table, event

from elearning.models.base import Base

__all__ = ["FUNCTIONS", "attach_routines", "function_text", "trigger_texts"]

FUNCTIONS = (
    "region_code",
    "region_code_of",
    "new_id",
    "update_modified_timestamp",
    "refuse_misrouted_row",
    "update_enrollment_progress",
    "update_course_rating",
    "create_user_with_profile",
    "enroll_user",
    "complete_transaction",
)
"""In the order in which they can be created, after the tables."""

_COUNTED = {
    "lesson_progress": "update_enrollment_progress",
    "course_reviews": "update_course_rating",
}
_TRANSITION_TABLES = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}


def function_text(name: str) -> str:
    """Return the current text of a function."""
    return files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")


def trigger_texts(table: Table) -> list[str]:
    """Return the CREATE TRIGGER statements of a table."""
    texts = []
    if "updated_at" in table.columns:
        texts.append(
            f"CREATE TRIGGER update_modified_timestamp BEFORE UPDATE ON {table.name} "
            "FOR EACH ROW EXECUTE FUNCTION update_modified_timestamp()"
        )
        texts.append(
            f"CREATE TRIGGER refuse_misrouted_row BEFORE INSERT OR UPDATE OF id ON {table.name} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()"
        )
    if function := _COUNTED.get(table.name):
        # A trigger with transition tables serves one event: three triggers.
        texts += [
            f"CREATE TRIGGER {function}_{what} AFTER {what.upper()} ON {table.name} "
            f"REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            for what, tables in _TRANSITION_TABLES.items()
        ]
    return texts


def attach_routines() -> None:
    """Make ``Base.metadata.create_all`` create the functions and triggers too."""
    texts = [function_text(name) for name in FUNCTIONS]
    for table in Base.metadata.sorted_tables:
        texts += trigger_texts(table)
    for text in texts:
        # DDL() formats its text with "%", which our functions use themselves.
        event.listen(Base.metadata, "after_create", DDL(text.replace("%", "%%")))
