"""The triggers of each table, as far as they can be told from the table itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import Table

from elearning.models.publication import copied_tables
from elearning.models.states import States

__all__ = ["trigger_texts"]

_COUNTED = {
    "users": "count_users",
    "courses": "count_courses",
    "transactions": "count_payments",
    "enrollments": "update_course_statistics",
    "lesson_progress": "update_enrollment_progress",
    "course_reviews": "update_course_rating",
}
_TRANSITION_TABLES = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}


def trigger_texts(table: Table) -> list[str]:
    """Return the statements that create the triggers of a table."""
    return [*_of_all(table), *_fixed(table), *_states(table), *_counted(table), *_own(table)]


def _trigger(
    table: Table,
    name: str,
    event: str,
    *arguments: str,
    when: str | None = None,
    function: str | None = None,
) -> str:
    condition = f"WHEN ({when}) " if when else ""
    return (
        f"CREATE TRIGGER {name} {event} ON {table.name} FOR EACH ROW {condition}"
        f"EXECUTE FUNCTION {function or name}({_quoted(arguments)})"
    )


def _of_all(table: Table) -> Iterator[str]:
    if "updated_at" not in table.columns:
        return
    copied = next((each for each in copied_tables() if each.name == table.name), None)
    if copied is None:
        yield _trigger(table, "update_modified_timestamp", "BEFORE UPDATE")
        yield _trigger(table, "refuse_misrouted_row", "BEFORE INSERT OR UPDATE OF id")
        return
    # What each shard computes for itself is no edit, and may change on a copy.
    edited = "UPDATE OF " + ", ".join(copied.columns) if "not_copied" in table.info else "UPDATE"
    yield _trigger(table, "update_modified_timestamp", f"BEFORE {edited}")
    yield _trigger(table, "refuse_misrouted_row", f"BEFORE INSERT OR DELETE OR {edited}")


def _fixed(table: Table) -> Iterator[str]:
    columns: tuple[str, ...] = table.info.get("fixed", ())
    if columns:
        changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in columns)
        event = f"BEFORE UPDATE OF {', '.join(columns)}"
        yield _trigger(table, "refuse_fixed_change", event, *columns, when=changed)


def _states(table: Table) -> Iterator[str]:
    states: States | None = table.info.get("states")
    if states is None:
        return
    name = "refuse_illegal_step"
    steps = [f"{before} > {after}" for before, after in states.edges()]
    changed = "OLD.status IS DISTINCT FROM NEW.status"
    yield _trigger(table, name, "BEFORE UPDATE OF status", *steps, when=changed)
    if states.start is not None:
        strange = f"NEW.status NOT IN ({_quoted(states.start)})"
        yield _trigger(table, "refuse_illegal_start", "BEFORE INSERT", when=strange, function=name)


def _counted(table: Table) -> Iterator[str]:
    function = _COUNTED.get(table.name)
    if function is not None:
        # A trigger with transition tables serves one event: three triggers.
        for event, tables in _TRANSITION_TABLES.items():
            if (table.name, event) == ("transactions", "delete"):
                continue  # what is paid stays
            yield (
                f"CREATE TRIGGER {function}_{event} AFTER {event.upper()} ON {table.name} "
                f"REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            )


def _own(table: Table) -> Iterator[str]:
    own = _OWN.get(table.name)
    if own is not None:
        yield from own(table)


def _transactions(table: Table) -> Iterator[str]:
    settled = "OLD.status <> 'pending'"
    yield _trigger(table, "refuse_settled_change", "BEFORE UPDATE", when=settled)
    paid = "NEW.status = 'completed' AND NEW.transaction_type <> 'refund'"
    yield _trigger(table, "require_invoice", "BEFORE UPDATE OF status", when=paid)
    refund = "NEW.transaction_type = 'refund'"
    yield _trigger(table, "refuse_wrong_refund", "BEFORE INSERT", when=refund)


def _lesson_progress(table: Table) -> Iterator[str]:
    yield (
        "CREATE TRIGGER refuse_foreign_lesson AFTER INSERT ON lesson_progress "
        "REFERENCING NEW TABLE AS new_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_foreign_lesson()"
    )
    # ALWAYS: also for what follows from replicated rows, see update_enrolled_lessons.sql.
    yield _always(table, "update_modified_timestamp")
    for event in _TRANSITION_TABLES:
        yield _always(table, f"update_enrollment_progress_{event}")


def _enrollments(table: Table) -> Iterator[str]:
    yield _always(table, "update_modified_timestamp")
    for event in _TRANSITION_TABLES:
        yield _always(table, f"update_course_statistics_{event}")
    yield from _seats(table)


def _seats(table: Table) -> Iterator[str]:
    name, live = "require_seat", "('active', 'completed')"
    without = f"NEW.status IN {live} AND NEW.claim_id IS NULL"
    yield _trigger(table, f"{name}_insert", "BEFORE INSERT", when=without, function=name)
    again = f"OLD.status NOT IN {live} AND {without}"
    yield _trigger(table, f"{name}_update", "BEFORE UPDATE OF status", when=again, function=name)
    name = "give_back_seat"
    ended = f"OLD.claim_id IS NOT NULL AND NEW.status NOT IN {live}"
    yield _trigger(table, f"{name}_update", "BEFORE UPDATE OF status", when=ended, function=name)
    had = "OLD.claim_id IS NOT NULL"
    yield _trigger(table, f"{name}_delete", "AFTER DELETE", when=had, function=name)


def _users(table: Table) -> Iterator[str]:
    renamed = (
        "OLD.first_name IS DISTINCT FROM NEW.first_name "
        "OR OLD.last_name IS DISTINCT FROM NEW.last_name"
    )
    event = "AFTER UPDATE OF first_name, last_name"
    yield _trigger(table, "keep_instructor_name", event, when=renamed)
    yield _trigger(table, "give_back_email", "AFTER DELETE")


def _courses(table: Table) -> Iterator[str]:
    yield _trigger(table, "keep_instructor_name", "BEFORE INSERT OR UPDATE OF instructor_id")
    yield _trigger(table, "sum_course_ratings", "BEFORE INSERT")
    yield _always(table, "sum_course_ratings")
    changed = (
        "OLD.max_enrollments IS DISTINCT FROM NEW.max_enrollments "
        "OR OLD.status IS DISTINCT FROM NEW.status"
    )
    event = "AFTER UPDATE OF max_enrollments, status"
    yield _trigger(table, "offer_new_seats", event, when=changed)
    event = (
        "AFTER INSERT OR DELETE OR UPDATE OF title, description, language, status, category_id, "
        "level, price, currency, rating_sum, total_ratings"
    )
    yield _trigger(table, "keep_course_search", event)
    yield _always(table, "keep_course_search")


def _course_statistics(table: Table) -> Iterator[str]:
    yield _trigger(table, "sum_course_ratings", "AFTER INSERT OR DELETE OR UPDATE")
    yield _always(table, "sum_course_ratings")


def _course_categories(table: Table) -> Iterator[str]:
    yield (
        "CREATE TRIGGER lock_categories BEFORE UPDATE OF parent_id ON course_categories "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_category_cycle()"
    )
    event = "BEFORE INSERT OR UPDATE OF parent_id"
    yield _trigger(table, "refuse_category_cycle", event, when="NEW.parent_id IS NOT NULL")


def _course_prerequisites(table: Table) -> Iterator[str]:
    yield _trigger(table, "refuse_prerequisite_cycle", "BEFORE INSERT")


def _course_modules(table: Table) -> Iterator[str]:
    yield _trigger(table, "update_enrolled_lessons", "AFTER INSERT")
    yield _always(table, "update_enrolled_lessons")


def _course_lessons(table: Table) -> Iterator[str]:
    event = "AFTER INSERT OR UPDATE OF module_id, archived_at"
    yield _trigger(table, "update_enrolled_lessons", event)
    yield _always(table, "update_enrolled_lessons")


_OWN: dict[str, Callable[[Table], Iterator[str]]] = {
    "transactions": _transactions,
    "lesson_progress": _lesson_progress,
    "enrollments": _enrollments,
    "users": _users,
    "course_categories": _course_categories,
    "courses": _courses,
    "course_prerequisites": _course_prerequisites,
    "course_statistics": _course_statistics,
    "course_modules": _course_modules,
    "course_lessons": _course_lessons,
}
"""What no other table has."""


def _always(table: Table, trigger: str) -> str:
    return f"ALTER TABLE {table.name} ENABLE ALWAYS TRIGGER {trigger}"


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
