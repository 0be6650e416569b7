"""Completing lessons: one in a course of any length, and a whole course at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from psycopg import Connection
from rich.table import Table

from benchmarks.courses import connect, enroll_somebody, make_course
from benchmarks.timing import measure, ratios
from elearning.crud import mark_lesson_complete
from elearning.routing import Engines, RoutingSession

SIZES = (10, 100, 1_000, 10_000)
ENROLLED = 40
TURNS = ENROLLED * SIZES[0] // 2  # so that the shortest course has a lesson for each
WARM_UP = TURNS // 10
MANY = 10_000
ROUNDS_OF_MANY = 2

_COMPLETE = (
    "UPDATE lesson_progress SET completed = true, completion_date = clock_timestamp() "
    "WHERE enrollment_id = %s"
)
_COMPLETE_ONE = f"{_COMPLETE} AND lesson_id = %s"
_COUNTED = "SELECT coalesce(sum(completed_lessons), 0) FROM enrollments"

Open = Iterator[tuple[UUID, UUID]]
"""Enrollments, each with a lesson that is not completed."""


def one_lesson(engines: Engines) -> Table:
    """Complete a lesson in courses of 10 to 10,000 lessons; none is completed twice."""
    with RoutingSession(engines=engines, region="europe") as session:
        ready = {f"a course of {size:,}": _open_lessons(session, size) for size in SIZES}
        session.commit()
    by_session: dict[str, Callable[[], object]] = {
        name: partial(_by_session, engines, lessons) for name, lessons in ready.items()
    }
    with connect(engines.settings.shard("eu").owner_url) as owner:
        owner.execute("ANALYZE")  # or autovacuum does it, in the midst of the rounds
    with connect(engines.primary("eu").engine.url) as raw:
        by_driver: dict[str, Callable[[], object]] = {
            f"{name}, SQL alone": partial(_by_driver, raw, lessons)
            for name, lessons in ready.items()
        }
        (before,) = raw.execute(_COUNTED).fetchone() or (0,)
        times = measure(by_session | by_driver, TURNS - WARM_UP, warm_up=WARM_UP)
        (counted,) = raw.execute(_COUNTED).fetchone() or (0,)
    assert counted - before == len(times) * TURNS, "a lesson was not counted"
    return ratios(
        "complete one lesson",
        [{name: times[name] for name in group} for group in (by_session, by_driver)],
        {list(by_session)[-1]: "< 1.2"},
    )


def _open_lessons(session: RoutingSession, size: int) -> Open:
    """Make a course and people in it, equally many whatever its length.

    Their next lessons come in no order: neighbours lie on one page, and a long course would
    profit from that.
    """
    course_id, lesson_ids = make_course(session, size)
    enrolled = [enroll_somebody(session, course_id) for _ in range(ENROLLED)]
    random = Random(size)  # noqa: S311 - no secret
    pairs = [(each, lesson) for each in enrolled for lesson in random.sample(lesson_ids, SIZES[0])]
    random.shuffle(pairs)
    return iter(pairs)


def _by_session(engines: Engines, lessons: Open) -> object:
    enrollment_id, lesson_id = next(lessons)
    with RoutingSession(engines=engines, region="europe") as session, session.begin():
        return mark_lesson_complete(session, enrollment_id, lesson_id, time_spent=1)


def _by_driver(raw: Connection[tuple[Any, ...]], lessons: Open) -> object:
    return raw.execute(_COMPLETE_ONE, next(lessons))


def many_lessons(engines: Engines) -> Table:
    """Complete the 10,000 lessons of an enrollment by one statement, and by one each."""
    with RoutingSession(engines=engines, region="europe") as session:
        course_id, lesson_ids = make_course(session, MANY)
        session.commit()
    enrolled: list[UUID] = []

    def enroll(_: str) -> None:
        with RoutingSession(engines=engines, region="europe") as session:
            enrolled.append(enroll_somebody(session, course_id))
            session.commit()

    with connect(engines.primary("eu").engine.url) as raw:

        def one_by_one() -> None:
            for lesson_id in lesson_ids:
                raw.execute(_COMPLETE_ONE, [enrolled[-1], lesson_id])

        contenders: dict[str, Callable[[], object]] = {
            "one statement": lambda: raw.execute(_COMPLETE, [enrolled[-1]]),
            f"{MANY:,} statements, each committed": one_by_one,
        }
        times = measure(contenders, ROUNDS_OF_MANY, before=enroll)
        found = raw.execute(
            "SELECT status, completed_lessons FROM enrollments WHERE id = ANY (%s)", [enrolled]
        ).fetchall()
    assert found == [("completed", MANY)] * len(enrolled), found
    return ratios(f"complete {MANY:,} lessons", [times], {list(times)[-1]: ">= 10"})
