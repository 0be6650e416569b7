"""Courses: seats and curriculum."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from elearning.errors import CourseNotFound
from elearning.models import Course, CourseModule, Enrollment, EnrollmentStatus
from elearning.routing import Reader

__all__ = ["SEAT_HOLDERS", "Seats", "get_course", "seats_of"]

SEAT_HOLDERS = (EnrollmentStatus.ACTIVE, EnrollmentStatus.COMPLETED)
"""The states of an enrollment that hold a seat."""


@dataclass(frozen=True, slots=True)
class Seats:
    """How many people a course takes (None: no limit), and how many it has."""

    limit: int | None
    taken: int

    @property
    def free(self) -> bool:
        """Whether there is a seat for one more."""
        return self.limit is None or self.taken < self.limit


def seats_of(session: Reader, course_id: UUID) -> Seats | None:
    """Return the seats of a course, or None where the node has no such course."""
    taken = (
        select(func.count())
        .where(Enrollment.course_id == Course.id, Enrollment.status.in_(SEAT_HOLDERS))
        .scalar_subquery()
    )
    row = session.execute(
        select(Course.max_enrollments, taken).where(Course.id == course_id)
    ).one_or_none()
    return None if row is None else Seats(row[0], row[1])


def get_course(session: Reader, course_id: UUID) -> Course:
    """Return a course with its modules and lessons, in three statements.

    Raises:
        CourseNotFound: there is none.
    """
    course = session.scalars(
        select(Course)
        .where(Course.id == course_id)
        .options(selectinload(Course.modules).selectinload(CourseModule.lessons))
    ).one_or_none()
    if course is None:
        raise CourseNotFound(course_id=course_id)
    return course
