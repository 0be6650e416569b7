"""Courses: seats, figures and curriculum."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from elearning.errors import CourseNotFound
from elearning.models import (
    Course,
    CourseModule,
    CourseSeats,
    CourseStatistics,
    EnrollmentStatus,
)
from elearning.routing import Reader

__all__ = [
    "SEAT_HOLDERS",
    "CourseFigures",
    "Seats",
    "figures_of",
    "get_course",
    "seats_at_home",
    "seats_of",
]

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
    """Return the seats of a course, or None where the node has no such course.

    What is taken is the worldwide number that the node knows of; the course's home decides.
    """
    taken = (
        select(func.coalesce(func.sum(CourseStatistics.enrollments), 0))
        .where(CourseStatistics.course_id == Course.id)
        .scalar_subquery()
    )
    row = session.execute(
        select(Course.max_enrollments, taken).where(Course.id == course_id)
    ).one_or_none()
    return None if row is None else Seats(row[0], int(row[1]))


def seats_at_home(session: Reader, course_id: UUID) -> Seats | None:
    """Return the seats of a course, on a node of its home, or None where it is not there."""
    row = session.execute(
        select(Course.max_enrollments, func.coalesce(CourseSeats.taken, 0))
        .join(CourseSeats, CourseSeats.course_id == Course.id, isouter=True)
        .where(Course.id == course_id)
    ).one_or_none()
    return None if row is None else Seats(row[0], row[1])


@dataclass(frozen=True, slots=True)
class CourseFigures:
    """What the whole world does in a course.

    Attributes:
        enrollments: that are active or completed.
        completions: those of them that are completed.
        total_ratings: how many reviews there are.
        rating: their mean, 1 to 5; None: there is none.
    """

    enrollments: int
    completions: int
    total_ratings: int
    rating: Decimal | None


def figures_of(session: Reader, course_id: UUID) -> CourseFigures:
    """Return the worldwide figures of a course, from the counters that every shard has."""
    found = session.execute(
        select(
            func.coalesce(func.sum(CourseStatistics.enrollments), 0),
            func.coalesce(func.sum(CourseStatistics.completions), 0),
            func.coalesce(func.sum(CourseStatistics.total_ratings), 0),
            func.round(
                func.sum(CourseStatistics.rating_sum)
                / func.nullif(func.sum(CourseStatistics.total_ratings), 0),
                2,
            ),
        ).where(CourseStatistics.course_id == course_id)
    ).one()
    return CourseFigures(int(found[0]), int(found[1]), int(found[2]), found[3])


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
