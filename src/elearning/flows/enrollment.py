"""Enrollment: a seat in a course, and what there is to learn."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel

from elearning import crud
from elearning.crud import HeldClaim, Seats, get_course, seats_at_home
from elearning.documents import CourseContent, mongo_errors
from elearning.errors import (
    AlreadyEnrolled,
    ClaimReleased,
    ClaimTooOld,
    CourseFull,
    NodeUnavailable,
)
from elearning.flows import claims
from elearning.flows.copies import find_copy
from elearning.flows.platform import Platform
from elearning.flows.relay import wake
from elearning.ids import new_id, parse_id, region_of
from elearning.models import ClaimResult, ClaimStatus, Course, LessonType
from elearning.regions import Region
from elearning.routing import Consistency, Token

__all__ = ["Enrolled", "LessonOutline", "ModuleOutline", "cancel_enrollment", "enroll"]

_TRIES = 3

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
    """Enroll a user in a course of any region.

    Where the course's home is the user's shard, free seats are looked up on the replica, and
    given on the primary under a lock. Elsewhere a course with a limit is asked for a seat at
    its home, once; a course without one is enrolled in on the user's shard alone.

    Args:
        platform: the databases.
        user_id: who enrolls.
        course_id: in which course.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidId: not an id of a user or a course.
        UserNotFound, CourseNotFound: no such row.
        CourseNotCopied: the course was published elsewhere just now; try again.
        CourseNotOpen, EnrollmentClosed, PrerequisitesMissing, CourseFull, AlreadyEnrolled: the
            course cannot be taken.
        ClaimReleased: others kept settling the seat's claim; try again.
        NodeUnavailable: a primary does not answer. What was claimed by then is settled later.
    """
    user_id, course_id = parse_id(user_id), parse_id(course_id)
    region = region_of(user_id)
    token = Token.of(token)
    if platform.engines.home(region) == platform.engines.home(region_of(course_id)):
        enrollment_id = await _enroll_at_home(platform, user_id, course_id, token)
    else:
        enrollment_id = await _enroll_abroad(platform, user_id, course_id, token)
    async with platform.read_session(region, token=token) as reader:
        course = await reader.run_sync(get_course, course_id)
    contents = await _content_ids(course_id)
    return Enrolled(
        enrollment_id=enrollment_id,
        course_title=course.title,
        curriculum=_outline(course, contents or {}),
        content_read=contents is not None,
    )


async def cancel_enrollment(
    platform: Platform, enrollment_id: UUID, *, token: Token | str | None = None
) -> None:
    """Drop an enrollment; its progress is kept, and its seat goes to whoever waits.

    Raises:
        InvalidId: not an id of an enrollment.
        EnrollmentNotFound: there is none.
        EnrollmentNotActive: it is completed, dropped or expired.
        NodeUnavailable: the region's primary does not answer.
    """
    enrollment_id = parse_id(enrollment_id)
    region = region_of(enrollment_id)
    async with platform.session(region, token=token) as session, session.begin():
        await session.run_sync(crud.cancel_enrollment, enrollment_id)
    wake(platform, platform.engines.home(region))


async def _enroll_at_home(platform: Platform, user_id: UUID, course_id: UUID, token: Token) -> UUID:
    region = region_of(user_id)
    seats = await _seats(platform, region, course_id, Consistency.EVENTUAL)
    if seats is not None and not seats.free:
        seats = await _seats(platform, region, course_id, Consistency.PRIMARY)
        if seats is not None and not seats.free:
            # Whoever is in is told that, not that others are.
            home = platform.engines.home(region)
            await platform.on_primary(home, crud.check_enrollment, user_id, course_id)
            if not await platform.on_primary(home, crud.has_seat, course_id, user_id):
                raise CourseFull(course_id=course_id, seats=seats.limit)
    for _ in range(_TRIES - 1):
        try:
            return await _enroll_here(platform, user_id, course_id, token)
        except ClaimReleased as error:
            # Recovery has taken an old claim of this user's, and is about to give it back.
            await platform.on_primary(
                platform.engines.home(region),
                crud.release_claim,
                UUID(str(error.values["claim_id"])),
            )
    return await _enroll_here(platform, user_id, course_id, token)


async def _enroll_here(platform: Platform, user_id: UUID, course_id: UUID, token: Token) -> UUID:
    async with platform.session(region_of(user_id), token=token) as session, session.begin():
        return await session.run_sync(crud.enroll_user, user_id, course_id)


async def _enroll_abroad(platform: Platform, user_id: UUID, course_id: UUID, token: Token) -> UUID:
    if not await find_copy(platform, user_id, course_id):
        return await _enroll_here(platform, user_id, course_id, token)
    for _ in range(_TRIES):
        claim = await claims.claim_seat(platform, new_id(region_of(user_id)), course_id, user_id)
        if claim.status is ClaimStatus.CONFIRMED:
            # Of an enrollment that is there, or was given up a moment ago.
            if await claims.settle(platform, claim) is ClaimResult.USED:
                raise AlreadyEnrolled(user_id=user_id, course_id=course_id, status="active")
            continue
        try:
            enrollment_id = await claims.use_seat(platform, claim, token=token)
        except (ClaimReleased, ClaimTooOld):
            await claims.settle(platform, claim)
        except NodeUnavailable:
            # It may have been done: recovery looks.
            raise
        except Exception:
            platform.background.start(_give_up(platform, claim))
            raise
        else:
            platform.background.start(claims.confirm(platform, claim))
            return enrollment_id
    raise ClaimReleased(claim_id=claim.id)


async def _give_up(platform: Platform, claim: HeldClaim) -> None:
    await claims.settle(platform, claim)
    wake(platform, claims.home_of(platform, claim))


async def _seats(
    platform: Platform, region: Region, course_id: UUID, consistency: Consistency
) -> Seats | None:
    async with platform.read_session(region, consistency=consistency) as session:
        return await session.run_sync(seats_at_home, course_id)


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
