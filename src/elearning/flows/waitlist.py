"""The line of those who wait for a seat."""

from __future__ import annotations

from uuid import UUID

from elearning import crud
from elearning.flows.copies import find_copy
from elearning.flows.platform import Platform
from elearning.ids import parse_id, region_of

__all__ = ["join_waitlist", "leave_waitlist"]


async def join_waitlist(platform: Platform, user_id: UUID, course_id: UUID) -> int:
    """Wait for a seat in a course that is full; return the place in the line, from 1.

    When a seat comes free, anywhere in the world, whoever has waited longest is enrolled.

    Args:
        platform: the databases.
        user_id: who waits.
        course_id: for which course.

    Raises:
        InvalidId: not an id of a user or a course.
        UserNotFound, CourseNotFound: no such row.
        CourseNotCopied: the course was published elsewhere just now; try again.
        CourseNotOpen, EnrollmentClosed, PrerequisitesMissing: the course cannot be taken.
        SeatsFree: there are seats: enroll.
        AlreadyEnrolled: the user has the course.
        NodeUnavailable: a primary does not answer.
    """
    user_id, course_id = parse_id(user_id), parse_id(course_id)
    await find_copy(platform, user_id, course_id)
    home = platform.engines.home(region_of(course_id))
    return await platform.on_primary(home, crud.join_waitlist, course_id, user_id)


async def leave_waitlist(platform: Platform, user_id: UUID, course_id: UUID) -> bool:
    """Wait no more; tell whether the user did.

    Raises:
        InvalidId: not an id of a user or a course.
        NodeUnavailable: the primary of the course's home does not answer.
    """
    user_id, course_id = parse_id(user_id), parse_id(course_id)
    home = platform.engines.home(region_of(course_id))
    return await platform.on_primary(home, crud.leave_waitlist, course_id, user_id)
