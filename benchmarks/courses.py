"""Courses of any length, and people in them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import URL, text

from elearning.crud import enroll_user
from elearning.ids import region_of
from elearning.routing import RoutingSession
from elearning.testing.factories import CourseModuleFactory, UserFactory, bound

_LESSONS = text("""
    INSERT INTO course_lessons (id, module_id, position, title, lesson_type)
    SELECT new_id(:code), :module_id, position, 'Lesson ' || position, 'video'
    FROM generate_series(1, :lessons) AS position
    RETURNING id
""")


def connect(url: URL) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect by the driver alone, with autocommit."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def make_course(session: RoutingSession, lessons: int) -> tuple[UUID, list[UUID]]:
    """Make a course of Europe's, and return its id and those of its lessons.

    The lessons come by one statement: the factories would take minutes for 10,000.
    """
    with bound(session):
        module = CourseModuleFactory.create()
    code = region_of(module.id).code
    values = {"code": code, "module_id": module.id, "lessons": lessons}
    return module.course_id, list(session.scalars(_LESSONS, values))


def enroll_somebody(session: RoutingSession, course_id: UUID) -> UUID:
    """Enroll a new user, and return the enrollment's id."""
    with bound(session):
        user_id = UserFactory.create().id
    return enroll_user(session, user_id, course_id)
