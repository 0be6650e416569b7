"""The copy of a course that was published in another region."""

from __future__ import annotations

import asyncio
from time import monotonic
from uuid import UUID

from sqlalchemy import Connection, select

from elearning.errors import CourseNotCopied, CourseNotFound, CourseNotOpen
from elearning.flows.platform import Platform
from elearning.ids import region_of
from elearning.models import Course, CourseStatus
from elearning.regions import Region

__all__ = ["find_copy"]

_PAUSE = 0.02  # seconds between two looks; a copy takes a few milliseconds as a rule


async def find_copy(platform: Platform, region: Region, course_id: UUID) -> bool:
    """Wait for the copy of a published course; tell whether its seats are limited.

    Its home is asked only where the copy is not there, or not published.

    Args:
        platform: the databases.
        region: where the copy is needed.
        course_id: the course.

    Raises:
        CourseNotFound, CourseNotOpen: it is not there, or not published, at its home either.
        CourseNotCopied: it is, and the copy has not come after `Limits.max_copy_wait` seconds.
        NodeUnavailable: a primary does not answer.
    """
    here = platform.engines.home(region)
    copy = await platform.on_primary(here, _look, course_id)
    if copy is not None and copy[0] is CourseStatus.PUBLISHED:
        return copy[1]
    home = platform.engines.home(region_of(course_id))
    original = await platform.on_primary(home, _look, course_id)
    if original is None:
        raise CourseNotFound(course_id=course_id)
    if original[0] is not CourseStatus.PUBLISHED:
        raise CourseNotOpen(course_id=course_id, status=original[0].value)
    longest = platform.settings.limits.max_copy_wait
    end = monotonic() + longest
    while True:
        copy = await platform.on_primary(here, _look, course_id)
        if copy is not None and copy[0] is CourseStatus.PUBLISHED:
            return copy[1]
        if monotonic() >= end:
            raise CourseNotCopied(course_id=course_id, shard=here, seconds=longest)
        await asyncio.sleep(_PAUSE)


def _look(connection: Connection, course_id: UUID) -> tuple[CourseStatus, bool] | None:
    row = connection.execute(
        select(Course.status, Course.max_enrollments.is_not(None)).where(Course.id == course_id)
    ).one_or_none()
    return None if row is None else (row[0], row[1])
