"""Enrollments: their life on the user's shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    Uuid,
    bindparam,
    cast,
    func,
    select,
    update,
)
from sqlalchemy.orm import Session

from elearning.crud.catalog.courses import SEAT_HOLDERS
from elearning.crud.statements import FIRST, Executor, constant
from elearning.errors import EnrollmentNotActive, EnrollmentNotFound
from elearning.models import Course, Enrollment, EnrollmentStatus
from elearning.models.counters import expire_counted
from elearning.routing import Reader

__all__ = [
    "Unclaimed",
    "adopt_claim",
    "cancel_enrollment",
    "check_enrollment",
    "enroll_user",
    "expire_enrollments",
    "get_enrollment",
    "lock_seats",
    "unclaimed_enrollments",
]


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """An enrollment without a seat in a course that has got a limit since."""

    enrollment_id: UUID
    user_id: UUID
    course_id: UUID


_ENROLL = select(
    func.enroll_user(
        bindparam("user", type_=Uuid),
        bindparam("course", type_=Uuid),
        bindparam("claim", type_=Uuid),
        bindparam("offered", type_=Boolean),
    )
)
"""One statement for all: to build it anew takes a tenth of a millisecond."""


def enroll_user(
    session: Session,
    user_id: UUID,
    course_id: UUID,
    *,
    claim_id: UUID | None = None,
    offered: bool = False,
) -> UUID:
    """Give a user a place in a course, under a lock on the course, and return its id.

    Args:
        session: a session of the user's region.
        user_id: who enrolls.
        course_id: in which course.
        claim_id: the seat, where the course has a limit and another shard as its home. With
            the same claim again, nothing changes.
        offered: whether the waiting list has made that claim.

    Raises:
        UserNotFound, CourseNotFound: no such row on the session's shard.
        AccountNotActive: the user is inactive or suspended.
        CourseNotOpen: the course is a draft or archived.
        EnrollmentClosed: the course takes enrollments at another time.
        PrerequisitesMissing: other courses are completed first.
        CourseFull: all seats are taken.
        SeatNotClaimed: the course's home is elsewhere, and it has a limit.
        ClaimReleased, ClaimTooOld: the claim cannot be used any more.
        AlreadyEnrolled: the user has the course.
    """
    values = {"user": user_id, "course": course_id, "claim": claim_id, "offered": offered}
    enrollment_id: UUID = session.scalar(_ENROLL, values)  # type: ignore[assignment]  # never NULL
    expire_counted(session, Enrollment, enrollment_id)
    return enrollment_id


def check_enrollment(executor: Executor, user_id: UUID, course_id: UUID) -> bool | None:
    """Look whether a user could enroll, on the user's shard; nothing is written.

    Returns:
        Whether the course's seats are limited; None: there is no published copy here.

    Raises:
        UserNotFound: there is no such user.
        AccountNotActive: the user is inactive or suspended.
        EnrollmentClosed: the course takes enrollments at another time.
        PrerequisitesMissing: other courses are completed first.
        AlreadyEnrolled: the user has the course.
    """
    limited: bool | None = executor.execute(
        select(func.check_enrollment(user_id, course_id))
    ).scalar_one()
    return limited


def get_enrollment(session: Reader, enrollment_id: UUID) -> Enrollment:
    """Return an enrollment.

    Raises:
        EnrollmentNotFound: there is none.
    """
    enrollment = session.get(Enrollment, enrollment_id)
    if enrollment is None:
        raise EnrollmentNotFound(enrollment_id=enrollment_id)
    return enrollment


def cancel_enrollment(session: Session, enrollment_id: UUID) -> None:
    """Drop an active enrollment; its progress is kept, and its seat goes back.

    Raises:
        EnrollmentNotFound: there is none.
        EnrollmentNotActive: it is completed, dropped or expired.
    """
    dropped = session.scalar(
        update(Enrollment)
        .where(Enrollment.id == enrollment_id, Enrollment.status == EnrollmentStatus.ACTIVE)
        .values(status=EnrollmentStatus.DROPPED)
        .returning(Enrollment.id)
    )
    if dropped is None:
        enrollment = get_enrollment(session, enrollment_id)
        raise EnrollmentNotActive(enrollment_id=enrollment_id, status=enrollment.status.value)
    expire_counted(session, Enrollment, enrollment_id)


def expire_enrollments(session: Session, *, limit: int = 500) -> int:
    """End active enrollments of the session's shard whose time is over; return how many.

    Those that somebody else holds are passed over.
    """
    over = session.execute(
        select(Enrollment.id, Enrollment.course_id)
        .where(
            Enrollment.status == constant(EnrollmentStatus.ACTIVE, Enrollment.status),
            Enrollment.expires_at <= func.now(),
        )
        .order_by(Enrollment.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    ids = [row.id for row in over]
    lock_seats(session, [row.course_id for row in over])
    session.execute(
        update(Enrollment)
        .where(Enrollment.id.in_(ids))
        .values(status=EnrollmentStatus.EXPIRED)
        .execution_options(synchronize_session=False)
    )
    for enrollment_id in ids:
        expire_counted(session, Enrollment, enrollment_id)
    return len(ids)


def lock_seats(session: Session, courses: Sequence[UUID]) -> None:
    """Lock the seats of courses in one order, before several of them are given back."""
    session.execute(select(func.lock_seats(cast(sorted(set(courses)), ARRAY(Uuid)))))


def unclaimed_enrollments(
    session: Session, *, limit: int = 500, after: UUID = FIRST
) -> Sequence[Unclaimed]:
    """Return enrollments of the session's shard without a seat, in courses with a limit."""
    rows = session.execute(
        select(Enrollment.id, Enrollment.user_id, Enrollment.course_id)
        .join(Course, Course.id == Enrollment.course_id)
        .where(
            Course.max_enrollments.is_not(None),
            Enrollment.status.in_(SEAT_HOLDERS),
            Enrollment.claim_id.is_(None),
            Enrollment.id > after,
        )
        .order_by(Enrollment.id)
        .limit(limit)
    )
    return [Unclaimed(*row) for row in rows]


def adopt_claim(session: Session, enrollment_id: UUID, claim_id: UUID) -> None:
    """Give an enrollment the seat that was claimed for it.

    Raises:
        ClaimReleased: it has one, or needs none any more.
        ClaimTooOld: the claim is not new.
    """
    session.execute(select(func.adopt_claim(enrollment_id, claim_id)))
