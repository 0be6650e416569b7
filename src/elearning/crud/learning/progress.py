"""Progress in lessons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Integer, Uuid, bindparam, false, func, or_, select, true, update
from sqlalchemy.orm import Session

from elearning.crud.learning.completion_rules import (
    MOST_SECONDS,
    checked_seconds,
    is_met_when_viewed,
    why_not,
)
from elearning.errors import EnrollmentNotActive, EnrollmentNotFound, LessonNotFound
from elearning.models import CourseLesson, Enrollment, EnrollmentStatus, LessonProgress
from elearning.models.counters import expire_counted

__all__ = ["Progress", "mark_lesson_complete", "mark_lesson_open", "touch_enrollment"]

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


_TOUCH = (
    update(Enrollment)
    .where(Enrollment.id == bindparam("enrollment", type_=Uuid))
    .values(last_accessed=func.clock_timestamp())
    .returning(Enrollment.status)
    .execution_options(synchronize_session=False)
)
_TIME = bindparam("time", type_=Integer)
_COMPLETE = (
    update(LessonProgress)
    .where(
        LessonProgress.enrollment_id == bindparam("enrollment", type_=Uuid),
        LessonProgress.lesson_id == bindparam("lesson", type_=Uuid),
        CourseLesson.id == LessonProgress.lesson_id,
        or_(
            # What is done stays done, whatever its rule has become.
            LessonProgress.completed,
            is_met_when_viewed(LessonProgress.watched, LessonProgress.best_score),
        ),
    )
    .values(
        completed=true(),
        completion_date=func.coalesce(LessonProgress.completion_date, func.clock_timestamp()),
        # Kept below the column's limit instead of failing after months of study.
        time_spent=func.least(LessonProgress.time_spent, MOST_SECONDS - _TIME) + _TIME,
        last_accessed=func.clock_timestamp(),
    )
    .returning(LessonProgress.id)
    .execution_options(synchronize_session=False)
)
"""One statement for all: to build it anew takes longer than to look at the rule."""


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
        LessonRuleNotMet: too little was watched, or scored.
        InvalidAmount: the time is negative.
    """
    time_spent = checked_seconds(time_spent)
    touch_enrollment(session, enrollment_id)
    done = session.scalar(
        _COMPLETE, {"enrollment": enrollment_id, "lesson": lesson_id, "time": time_spent}
    )
    if done is None:
        raise why_not(session, enrollment_id, lesson_id)
    expire_counted(session, LessonProgress, done)
    return _progress(session, enrollment_id)


def mark_lesson_open(session: Session, enrollment_id: UUID, lesson_id: UUID) -> Progress:
    """Take the completion of a lesson back; a completed enrollment is active again.

    Raises:
        EnrollmentNotFound, LessonNotFound: no such row.
        EnrollmentNotActive: the enrollment was dropped or has expired.
    """
    touch_enrollment(session, enrollment_id)
    opened = session.scalar(
        update(LessonProgress)
        .where(LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson_id)
        .values(completed=false(), completion_date=None)
        .returning(LessonProgress.id)
    )
    if opened is None:
        raise LessonNotFound(enrollment_id=enrollment_id, lesson_id=lesson_id)
    return _progress(session, enrollment_id)


def touch_enrollment(session: Session, enrollment_id: UUID) -> None:
    """Lock an enrollment before its progress, which is the order that every flow takes.

    Raises:
        EnrollmentNotFound: there is none.
        EnrollmentNotActive: it was dropped or has expired.
    """
    status = session.scalar(_TOUCH, {"enrollment": enrollment_id})
    if status is None:
        raise EnrollmentNotFound(enrollment_id=enrollment_id)
    expire_counted(session, Enrollment, enrollment_id)
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
