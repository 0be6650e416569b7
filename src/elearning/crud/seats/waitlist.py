"""Who waits for a seat, at the course's home."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select

from elearning.crud.statements import Executor

__all__ = ["join_waitlist", "leave_waitlist"]


def join_waitlist(executor: Executor, course_id: UUID, user_id: UUID) -> int:
    """Stand in line for a course that is full; return the place, from 1.

    Somebody who waits already keeps the place.

    Raises:
        CourseNotFound, CourseNotOpen, EnrollmentClosed: the course cannot be taken.
        SeatsFree: it is not full.
        AlreadyEnrolled: the user has a seat.
    """
    place: int = executor.execute(select(func.join_waitlist(course_id, user_id))).scalar_one()
    return place


def leave_waitlist(executor: Executor, course_id: UUID, user_id: UUID) -> bool:
    """Wait no more; tell whether the user did."""
    waited: bool = executor.execute(select(func.leave_waitlist(course_id, user_id))).scalar_one()
    return waited
