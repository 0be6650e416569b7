"""What the tests of editing share."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

from elearning.crud import NewCourse, create_course
from elearning.models import Course, CourseLesson, CourseModule
from elearning.routing import Engines, RoutingSession
from elearning.routing.replay import current_position, has_replayed
from elearning.testing.copies import wait_copied
from elearning.testing.factories import InstructorFactory, bound

Rows = dict[UUID, list[tuple[UUID, int, bool]]]


def new_course(session: RoutingSession, region: str = "europe", **values: Any) -> Course:
    """Create a draft, with its instructor."""
    with bound(session):
        instructor = InstructorFactory.create(region=region)
    return create_course(session, course_of(instructor.id, **values))


def course_of(instructor_id: UUID, /, **values: Any) -> NewCourse:
    """Return what is created, with values of its own where they matter."""
    given: dict[str, Any] = {
        "instructor_id": instructor_id,
        "course_code": f"C-{instructor_id.hex[-8:]}",
        "title": "Café für alle",
        "currency": "EUR",
        "language": "en",
    }
    return NewCourse(**(given | values))


def wait_everywhere(engines: Engines) -> None:
    """Wait until all copies, and the replicas of all shards, have what was committed."""
    wait_copied(engines)
    for shard in engines.shards:
        with engines.primary(shard).engine.connect() as connection:
            position = current_position(connection)
        for replica in engines.replicas(shard):
            assert has_replayed(replica, position, 10)


def modules_of(session: RoutingSession, course_id: UUID) -> list[tuple[UUID, int]]:
    """Return ids and places of a course's modules, on the primary of the session's region."""
    rows = session.execute(
        select(CourseModule.id, CourseModule.position)
        .where(CourseModule.course_id == course_id)
        .order_by(CourseModule.position)
    )
    return [(row.id, row.position) for row in rows]


def lessons_of(session: RoutingSession, course_id: UUID) -> Rows:
    """Return ids, places and whether they are archived of the lessons of each module."""
    found: Rows = {module_id: [] for module_id, _ in modules_of(session, course_id)}
    rows = session.execute(
        select(
            CourseLesson.module_id,
            CourseLesson.id,
            CourseLesson.position,
            CourseLesson.archived_at.is_not(None).label("archived"),
        )
        .join(CourseModule, CourseModule.id == CourseLesson.module_id)
        .where(CourseModule.course_id == course_id)
        .order_by(CourseLesson.module_id, CourseLesson.position)
    )
    for row in rows:
        found[row.module_id].append((row.id, row.position, row.archived))
    return found
