"""Lists of enrollments: of a user, and of a course."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from elearning.crud.listing import Listing
from elearning.crud.statements import constant
from elearning.errors import InvalidText
from elearning.models import Course, Enrollment, EnrollmentStatus, User

__all__ = ["EnrolledCourse", "EnrolledUser", "list_course_enrollments", "list_enrollments"]


@dataclass(frozen=True, slots=True)
class EnrolledCourse:
    """An enrollment, and what it is in."""

    enrollment_id: UUID
    course_id: UUID
    course_code: str
    slug: str
    title: str
    language: str
    instructor_name: str
    status: EnrollmentStatus
    enrollment_date: datetime
    completion_date: datetime | None
    expires_at: datetime | None
    completed_lessons: int
    total_lessons: int
    percentage: Decimal
    last_accessed: datetime | None
    certificate_issued: bool


@dataclass(frozen=True, slots=True)
class EnrolledUser:
    """An enrollment, and whose it is."""

    enrollment_id: UUID
    user_id: UUID
    first_name: str
    last_name: str
    status: EnrollmentStatus
    enrollment_date: datetime
    completion_date: datetime | None
    completed_lessons: int
    total_lessons: int
    percentage: Decimal
    last_accessed: datetime | None


_COURSES = select(
    Enrollment.id,
    Enrollment.course_id,
    Course.course_code,
    Course.slug,
    Course.title,
    Course.language,
    Course.instructor_name,
    Enrollment.status,
    Enrollment.enrollment_date,
    Enrollment.completion_date,
    Enrollment.expires_at,
    Enrollment.completed_lessons,
    Enrollment.total_lessons,
    Enrollment.progress_percentage,
    Enrollment.last_accessed,
    Enrollment.certificate_issued,
).join_from(Enrollment, Course, Course.id == Enrollment.course_id)
_PEOPLE = select(
    Enrollment.id,
    Enrollment.user_id,
    User.first_name,
    User.last_name,
    Enrollment.status,
    Enrollment.enrollment_date,
    Enrollment.completion_date,
    Enrollment.completed_lessons,
    Enrollment.total_lessons,
    Enrollment.progress_percentage,
    Enrollment.last_accessed,
).join_from(Enrollment, User, User.id == Enrollment.user_id)


def list_enrollments(
    user_id: UUID, *, status: EnrollmentStatus | str | None = None
) -> Listing[EnrolledCourse]:
    """List the enrollments of a user with their courses, the newest first.

    Args:
        user_id: whose.
        status: only those in this state.

    Raises:
        InvalidText: there is no such state.
    """
    statement = _COURSES.where(Enrollment.user_id == user_id)
    return Listing(_newest(statement, status), lambda row: EnrolledCourse(*row))


def list_course_enrollments(
    course_id: UUID, *, status: EnrollmentStatus | str | None = None
) -> Listing[EnrolledUser]:
    """List who takes a course, the newest enrollment first.

    A page of a session holds those of its region's shard, for they live with their users; one
    of ``everywhere`` the world's.

    Args:
        course_id: which course.
        status: only those in this state.

    Raises:
        InvalidText: there is no such state.
    """
    statement = _PEOPLE.where(Enrollment.course_id == course_id)
    return Listing(_newest(statement, status), lambda row: EnrolledUser(*row))


def _newest(
    statement: Select[*tuple[Any, ...]], status: EnrollmentStatus | str | None
) -> Select[*tuple[Any, ...]]:
    if status is not None:
        try:
            wanted = EnrollmentStatus(status)
        except ValueError:
            raise InvalidText(
                field="status", problem=f"{status!r} is none of {', '.join(EnrollmentStatus)}"
            ) from None
        statement = statement.where(Enrollment.status == constant(wanted, Enrollment.status))
    return statement.order_by(Enrollment.enrollment_date.desc(), Enrollment.id.desc())
