"""Enrollment: a seat in a course, and what there is to learn."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel

from elearning.crud import Seats, enroll_user, get_course, seats_of
from elearning.documents import CourseContent, mongo_errors
from elearning.errors import CourseFull, NodeUnavailable
from elearning.flows.platform import Platform
from elearning.ids import parse_id, region_of
from elearning.models import Course, LessonType
from elearning.regions import Region
from elearning.routing import Consistency, Token

__all__ = ["Enrolled", "LessonOutline", "ModuleOutline", "enroll"]

logger = logging.getLogger("elearning.flows")


@dataclass(frozen=True, slots=True)
class LessonOutline:
    """A lesson; ``content_ids`` are the documents that MongoDB holds for it."""

    lesson_id: UUID
    title: str
    lesson_type: LessonType
    content_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class ModuleOutline:
    """A module with its lessons, in order."""

    title: str
    lessons: tuple[LessonOutline, ...]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new enrollment and its course's curriculum.

    ``content_read`` is False where MongoDB did not answer: the enrollment
    stands, and the outlines carry no content ids.
    """

    enrollment_id: UUID
    course_title: str
    curriculum: tuple[ModuleOutline, ...]
    content_read: bool


async def enroll(
    platform: Platform, user_id: UUID, course_id: UUID, *, token: Token | str | None = None
) -> Enrolled:
    """Enroll a user in a course.

    Free seats are looked up on the replica, and given on the primary under a
    lock; a replica that shows none is not believed before the primary agrees.

    Args:
        platform: the databases.
        user_id: who enrolls.
        course_id: in which course.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidId: not an id of a user or a course.
        UserNotFound, CourseNotFound: no such row in the user's region.
        CourseNotOpen, EnrollmentClosed, CourseFull, AlreadyEnrolled: the course cannot be taken.
        NodeUnavailable: the region's primary does not answer.
    """
    user_id, course_id = parse_id(user_id), parse_id(course_id)
    region = region_of(user_id)
    seats = await _seats(platform, region, course_id, Consistency.EVENTUAL)
    if seats is not None and not seats.free:
        seats = await _seats(platform, region, course_id, Consistency.PRIMARY)
        if seats is not None and not seats.free:
            raise CourseFull(course_id=course_id, seats=seats.limit)
    async with platform.session(region, token=token) as session:
        async with session.begin():
            enrollment_id = await session.run_sync(enroll_user, user_id, course_id)
        token = session.token
    async with platform.read_session(region, token=token) as reader:
        course = await reader.run_sync(get_course, course_id)
    contents = await _content_ids(course_id)
    return Enrolled(
        enrollment_id=enrollment_id,
        course_title=course.title,
        curriculum=_outline(course, contents or {}),
        content_read=contents is not None,
    )


async def _seats(
    platform: Platform, region: Region, course_id: UUID, consistency: Consistency
) -> Seats | None:
    async with platform.read_session(region, consistency=consistency) as session:
        return await session.run_sync(seats_of, course_id)


async def _content_ids(course_id: UUID) -> dict[UUID, tuple[UUID, ...]] | None:
    """Return the content ids of a course by lesson, or None where MongoDB is down."""
    try:
        with mongo_errors():
            found = await CourseContent.find(
                {"course_id": course_id}, projection_model=_ContentLink
            ).to_list()
    except NodeUnavailable as error:
        logger.warning("no content ids for course %s: %s", course_id, error)
        return None
    ids: dict[UUID, tuple[UUID, ...]] = {}
    for each in found:
        ids[each.lesson_id] = (*ids.get(each.lesson_id, ()), each.content_id)
    return ids


class _ContentLink(BaseModel):
    content_id: UUID
    lesson_id: UUID


def _outline(
    course: Course, contents: Mapping[UUID, tuple[UUID, ...]]
) -> tuple[ModuleOutline, ...]:
    return tuple(
        ModuleOutline(
            module.title,
            tuple(
                LessonOutline(
                    lesson.id, lesson.title, lesson.lesson_type, contents.get(lesson.id, ())
                )
                for lesson in module.lessons
                if lesson.archived_at is None
            ),
        )
        for module in course.modules
    )
