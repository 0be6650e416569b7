"""Writes of the flows against the same SQL by the driver alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import cycle
from uuid import UUID

import psycopg
from rich.table import Table

from benchmarks.timing import compare
from elearning.crud import enroll_user, mark_lesson_complete
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    UserFactory,
    bound,
)

ROUNDS = 200


def _course(session: RoutingSession, lessons: int) -> tuple[UUID, list[UUID]]:
    with bound(session):
        course = CourseFactory.create()
        module = CourseModuleFactory.create(course=course)
        rows = CourseLessonFactory.create_batch(lessons, module=module)
        return course.id, [row.id for row in rows]


def progress(engines: Engines) -> Table:
    """Complete one lesson in a course of 10, 100 and 1,000 lessons."""
    ready: dict[str, tuple[UUID, Iterator[UUID]]] = {}
    with RoutingSession(engines=engines, region="europe") as session:
        for lessons in (10, 100, 1000):
            course_id, lesson_ids = _course(session, lessons)
            with bound(session):
                user_id = UserFactory.create().id
            enrollment_id = enroll_user(session, user_id, course_id)
            ready[f"a course of {lessons}"] = enrollment_id, cycle(lesson_ids)
        session.commit()

    def complete(name: str) -> object:
        enrollment_id, lesson_ids = ready[name]
        with RoutingSession(engines=engines, region="europe") as session, session.begin():
            return mark_lesson_complete(session, enrollment_id, next(lesson_ids), time_spent=1)

    return compare(
        "complete a lesson",
        {name: partial(complete, name) for name in ready},
        ROUNDS,
    )


def enrollments(engines: Engines) -> Table:
    """Enroll in a course of 20 lessons."""
    with RoutingSession(engines=engines, region="europe") as session:
        course_id, _ = _course(session, 20)
        with bound(session):
            users = iter([user.id for user in UserFactory.create_batch(ROUNDS * 3)])
        session.commit()
    url = engines.primary("eu").engine.url.set(drivername="postgresql")
    raw = psycopg.connect(url.render_as_string(hide_password=False))

    def by_psycopg() -> object:
        with raw.transaction():
            statement = "SELECT enroll_user(%s, %s)"
            return raw.execute(statement, [next(users), course_id]).fetchone()

    def by_session() -> object:
        with RoutingSession(engines=engines, region="europe") as session, session.begin():
            return enroll_user(session, next(users), course_id)

    try:
        return compare(
            "enroll in a course of 20 lessons",
            {"raw psycopg, enroll_user()": by_psycopg, "RoutingSession": by_session},
            ROUNDS,
        )
    finally:
        raw.close()
