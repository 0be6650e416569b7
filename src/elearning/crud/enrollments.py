"""Enrollments."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from elearning.errors import EnrollmentNotFound
from elearning.models import Enrollment
from elearning.routing import Reader

__all__ = ["enroll_user", "get_enrollment"]


def enroll_user(session: Session, user_id: UUID, course_id: UUID) -> UUID:
    """Give a user a place in a course, under a lock on the course.

    Raises:
        UserNotFound, CourseNotFound: no such row on the session's shard.
        CourseNotOpen: the course is a draft or archived.
        EnrollmentClosed: the course takes enrollments at another time.
        CourseFull: all seats are taken.
        AlreadyEnrolled: the user has the course.
    """
    enrollment_id: UUID = session.execute(select(func.enroll_user(user_id, course_id))).scalar_one()
    return enrollment_id


def get_enrollment(session: Reader, enrollment_id: UUID) -> Enrollment:
    """Return an enrollment.

    Raises:
        EnrollmentNotFound: there is none.
    """
    enrollment = session.get(Enrollment, enrollment_id)
    if enrollment is None:
        raise EnrollmentNotFound(enrollment_id=enrollment_id)
    return enrollment
