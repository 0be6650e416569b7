"""Progress: a lesson is done, and the enrollment follows by itself."""

from __future__ import annotations

from uuid import UUID

from elearning.crud import Progress, mark_lesson_complete
from elearning.flows.platform import Platform
from elearning.ids import parse_id, region_of
from elearning.routing import Token

__all__ = ["complete_lesson"]


async def complete_lesson(
    platform: Platform,
    enrollment_id: UUID,
    lesson_id: UUID,
    *,
    time_spent: int = 0,
    token: Token | str | None = None,
) -> Progress:
    """Complete a lesson and return how far the enrollment is.

    Args:
        platform: the databases.
        enrollment_id: the enrollment.
        lesson_id: a lesson of its course.
        time_spent: seconds, added to those spent before.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidId, InvalidAmount: wrong input.
        EnrollmentNotFound, LessonNotFound, EnrollmentNotActive, LessonRuleNotMet: see
            `mark_lesson_complete`.
        NodeUnavailable: the region's primary does not answer.
    """
    enrollment_id, lesson_id = parse_id(enrollment_id), parse_id(lesson_id)
    region = region_of(enrollment_id)
    async with platform.session(region, token=token) as session, session.begin():
        return await session.run_sync(
            lambda sync: mark_lesson_complete(sync, enrollment_id, lesson_id, time_spent=time_spent)
        )
