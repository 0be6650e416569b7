"""The line of those who wait for a seat."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from elearning import crud
from elearning.errors import AlreadyEnrolled, UserNotFound
from elearning.flows.copies import find_copy
from elearning.flows.platform import Platform
from elearning.ids import parse_id, region_of
from elearning.models import Enrollment, User
from elearning.routing import Token

__all__ = ["join_waitlist", "leave_waitlist"]


async def join_waitlist(
    platform: Platform, user_id: UUID, course_id: UUID, *, token: Token | str | None = None
) -> int:
    """Wait for a seat in a course that is full; return the place in the line, from 1.

    When a seat comes free, anywhere in the world, whoever has waited longest is enrolled.

    Args:
        platform: the databases.
        user_id: who waits.
        course_id: for which course.
        token: what the caller has written before.

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
    region, home = region_of(user_id), platform.engines.home(region_of(course_id))
    if platform.engines.home(region) != home:
        await find_copy(platform, region, course_id)
    async with platform.session(region, token=token) as session:
        await session.run_sync(_check, user_id, course_id)
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


def _check(session: Session, user_id: UUID, course_id: UUID) -> None:
    if session.scalar(select(User.id).where(User.id == user_id)) is None:
        raise UserNotFound(user_id=user_id)
    status = session.scalar(
        select(Enrollment.status).where(
            Enrollment.user_id == user_id,
            Enrollment.course_id == course_id,
            Enrollment.status.in_(crud.SEAT_HOLDERS),
        )
    )
    if status is not None:
        raise AlreadyEnrolled(user_id=user_id, course_id=course_id, status=status.value)
    crud.require_prerequisites(session, user_id, course_id)
