"""Progress in lessons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import false, func, select, true, update
from sqlalchemy.orm import Session

from elearning.errors import (
    EnrollmentNotActive,
    EnrollmentNotFound,
    InvalidAmount,
    LessonNotFound,
)
from elearning.models import Enrollment, EnrollmentStatus, LessonProgress
from elearning.models.counters import expire_counted

__all__ = ["Progress", "mark_lesson_complete", "mark_lesson_open"]

_MOST_SECONDS = 2**31 - 1
_OPEN = (EnrollmentStatus.ACTIVE, EnrollmentStatus.COMPLETED)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an enrollment is."""

    enrollment_id: UUID
    status: EnrollmentStatus
    completed_lessons: int
    total_lessons: int
    percentage: Decimal
    completion_date: datetime | None


def mark_lesson_complete(
    session: Session, enrollment_id: UUID, lesson_id: UUID, *, time_spent: int = 0
) -> Progress:
    """Complete a lesson; the trigger update_enrollment_progress does the rest.

    Completing it again adds the time and keeps the first completion date.

    Args:
        session: a session of the enrollment's region.
        enrollment_id: the enrollment.
        lesson_id: a lesson of its course.
        time_spent: seconds, added to those spent before.

    Raises:
        EnrollmentNotFound, LessonNotFound: no such row.
        EnrollmentNotActive: the enrollment was dropped or has expired.
        InvalidAmount: the time is negative.
    """
    if isinstance(time_spent, bool) or not isinstance(time_spent, int):
        raise InvalidAmount(amount=repr(time_spent), problem="is no whole number of seconds")
    if not 0 <= time_spent <= _MOST_SECONDS:
        raise InvalidAmount(
            amount=f"{Decimal(time_spent):.20g}", problem=f"is no time of 0 to {_MOST_SECONDS} s"
        )
    _touch(session, enrollment_id)
    done = session.scalar(
        update(LessonProgress)
        .where(LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson_id)
        .values(
            completed=true(),
            completion_date=func.coalesce(LessonProgress.completion_date, func.clock_timestamp()),
            # Kept below the column's limit instead of failing after months of study.
            time_spent=func.least(LessonProgress.time_spent, _MOST_SECONDS - time_spent)
            + time_spent,
        )
        .returning(LessonProgress.id)
    )
    if done is None:
        raise LessonNotFound(enrollment_id=enrollment_id, lesson_id=lesson_id)
    return _progress(session, enrollment_id)


def mark_lesson_open(session: Session, enrollment_id: UUID, lesson_id: UUID) -> Progress:
    """Take the completion of a lesson back; a completed enrollment is active again.

    Raises:
        EnrollmentNotFound, LessonNotFound: no such row.
        EnrollmentNotActive: the enrollment was dropped or has expired.
    """
    _touch(session, enrollment_id)
    opened = session.scalar(
        update(LessonProgress)
        .where(LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson_id)
        .values(completed=false(), completion_date=None)
        .returning(LessonProgress.id)
    )
    if opened is None:
        raise LessonNotFound(enrollment_id=enrollment_id, lesson_id=lesson_id)
    return _progress(session, enrollment_id)


def _touch(session: Session, enrollment_id: UUID) -> None:
    """Lock an enrollment before its progress, which is the order that every flow takes."""
    status = session.scalar(
        update(Enrollment)
        .where(Enrollment.id == enrollment_id)
        .values(last_accessed=func.clock_timestamp())
        .returning(Enrollment.status)
    )
    if status is None:
        raise EnrollmentNotFound(enrollment_id=enrollment_id)
    if status not in _OPEN:
        raise EnrollmentNotActive(enrollment_id=enrollment_id, status=status.value)


def _progress(session: Session, enrollment_id: UUID) -> Progress:
    expire_counted(session, Enrollment, enrollment_id)
    row = session.execute(
        select(
            Enrollment.status,
            Enrollment.completed_lessons,
            Enrollment.total_lessons,
            Enrollment.progress_percentage,
            Enrollment.completion_date,
        ).where(Enrollment.id == enrollment_id)
    ).one()
    return Progress(enrollment_id, *row)
