"""The copy of a course that was published in another region."""

from __future__ import annotations

import asyncio
from time import monotonic
from uuid import UUID

from sqlalchemy import Connection, select

from elearning.crud import check_enrollment
from elearning.errors import CourseNotCopied, CourseNotFound, CourseNotOpen
from elearning.flows.platform import Platform
from elearning.ids import region_of
from elearning.models import Course, CourseStatus

__all__ = ["find_copy", "status_at_home"]

_PAUSE = 0.02  # seconds between two looks; a copy takes a few milliseconds as a rule


async def find_copy(platform: Platform, user_id: UUID, course_id: UUID) -> bool:
    """Look whether a user could enroll, waiting for the copy of a course published elsewhere.

    The course's home is asked only where the copy is not there, or not published.

    Args:
        platform: the databases.
        user_id: whose shard needs the copy.
        course_id: the course.

    Returns:
        Whether the course's seats are limited.

    Raises:
        UserNotFound, EnrollmentClosed, PrerequisitesMissing, AlreadyEnrolled: see
            `crud.check_enrollment`.
        CourseNotFound, CourseNotOpen: it is not there, or not published, at its home either.
        CourseNotCopied: it is, and the copy has not come after `Limits.max_copy_wait` seconds.
        NodeUnavailable: a primary does not answer.
    """
    here = platform.engines.home(region_of(user_id))
    limited = await platform.on_primary(here, check_enrollment, user_id, course_id)
    if limited is not None:
        return limited
    status = await status_at_home(platform, course_id)
    if status is None:
        raise CourseNotFound(course_id=course_id)
    if status is not CourseStatus.PUBLISHED:
        raise CourseNotOpen(course_id=course_id, status=status.value)
    longest = platform.settings.limits.max_copy_wait
    end = monotonic() + longest
    while (
        limited := await platform.on_primary(here, check_enrollment, user_id, course_id)
    ) is None:
        if monotonic() >= end:
            raise CourseNotCopied(course_id=course_id, shard=here, seconds=longest)
        await asyncio.sleep(_PAUSE)
    return limited


async def status_at_home(platform: Platform, course_id: UUID) -> CourseStatus | None:
    """Return the status of a course at its home, or None where there is no such course.

    Raises:
        NodeUnavailable: the home's primary does not answer.
    """
    home = platform.engines.home(region_of(course_id))
    return await platform.on_primary(home, _status_of, course_id)


def _status_of(connection: Connection, course_id: UUID) -> CourseStatus | None:
    return connection.execute(
        select(Course.status).where(Course.id == course_id)
    ).scalar_one_or_none()
