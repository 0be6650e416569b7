"""Completing lessons: one in a course of any length, and a whole course at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from uuid import UUID

import psycopg
from rich.table import Table

from benchmarks.courses import connect, enroll_somebody, make_course
from benchmarks.timing import measure, ratios
from elearning.crud import mark_lesson_complete
from elearning.routing import Engines, RoutingSession

SIZES = (10, 100, 1_000, 10_000)
TURNS = 330  # of each contender; a tenth of them to warm up
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
        by_session = {f"course of {size:,}": _open_lessons(session, size) for size in SIZES}
        by_driver = {f"{name}, SQL alone": _open_lessons(session, size)
                     for name, size in zip(by_session, SIZES, strict=True)}
        session.commit()
    with connect(engines.settings.shard("eu").owner_url) as owner:
        owner.execute("ANALYZE")  # or autovacuum does it, in the midst of the rounds
    with connect(engines.primary("eu").engine.url) as raw:
        (before,) = raw.execute(_COUNTED).fetchone() or ()
        contenders: dict[str, Callable[[], object]] = {
            name: partial(_by_session, engines, lessons) for name, lessons in by_session.items()
        } | {name: partial(_by_driver, raw, lessons) for name, lessons in by_driver.items()}
        times = measure(contenders, TURNS - TURNS // 11, warm_up=TURNS // 11)
        (counted,) = raw.execute(_COUNTED).fetchone() or ()
    assert counted - before == len(contenders) * TURNS, "a lesson was not counted"
    return ratios(
        "complete one lesson",
        [{name: times[name] for name in group} for group in (by_session, by_driver)],
        {list(by_session)[-1]: "< 1.2"},
    )


def _open_lessons(session: RoutingSession, lessons: int) -> Open:
    """Make a course, and enrollments in it that have an open lesson for each turn."""
    course_id, lesson_ids = make_course(session, lessons)
    enrolled = [enroll_somebody(session, course_id) for _ in range(-(-TURNS // lessons))]
    pairs = [(enrollment_id, lesson_id) for enrollment_id in enrolled for lesson_id in lesson_ids]
    # In no order: neighbours lie on one page, and a long course would profit from that.
    return iter(Random(lessons).sample(pairs, TURNS))  # noqa: S311 - no secret


def _by_session(engines: Engines, lessons: Open) -> object:
    enrollment_id, lesson_id = next(lessons)
    with RoutingSession(engines=engines, region="europe") as session, session.begin():
        return mark_lesson_complete(session, enrollment_id, lesson_id, time_spent=1)


def _by_driver(raw: psycopg.Connection[tuple[int, ...]], lessons: Open) -> object:
    return raw.execute(_COMPLETE_ONE, next(lessons))


def many_lessons(engines: Engines) -> Table:
    """Complete the 10,000 lessons of an enrollment by one statement, and by one each."""
    with RoutingSession(engines=engines, region="europe") as session:
        course_id, lesson_ids = make_course(session, MANY)
        session.commit()
    enrollment_id = UUID(int=0)
    with connect(engines.primary("eu").engine.url) as raw:

        def enroll(_: str) -> None:
            nonlocal enrollment_id
            with RoutingSession(engines=engines, region="europe") as session:
                enrollment_id = enroll_somebody(session, course_id)
                session.commit()

        def one_by_one() -> None:
            for lesson_id in lesson_ids:
                raw.execute(_COMPLETE_ONE, [enrollment_id, lesson_id])

        def check(_: str) -> None:
            found = raw.execute(
                "SELECT completed_lessons, total_lessons, status FROM enrollments WHERE id = %s",
                [enrollment_id],
            ).fetchone()
            assert found == (MANY, MANY, "completed"), found

        times = measure(
            {
                "one statement": lambda: raw.execute(_COMPLETE, [enrollment_id]),
                f"{MANY:,} statements, each committed": one_by_one,
            },
            ROUNDS_OF_MANY,
            before=enroll,
            after=check,
        )
    return ratios(f"complete {MANY:,} lessons", [times], {list(times)[1]: ">= 10"})
