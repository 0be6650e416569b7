"""Working on lessons: where a student is, and where to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    Select,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    lateral,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from elearning.crud.learning.completion_rules import (
    MOST_SECONDS,
    checked_seconds,
    is_met,
    is_met_when_viewed,
)
from elearning.crud.learning.progress import touch_enrollment
from elearning.errors import EnrollmentNotFound, LessonNotFound
from elearning.models import CourseLesson, CourseModule, Enrollment, LessonProgress, LessonType
from elearning.models.counters import expire_counted
from elearning.routing import Reader

__all__ = ["ResumePoint", "Visit", "record_visit", "resume"]


@dataclass(frozen=True, slots=True)
class Visit:
    """How far a student is in a lesson.

    Attributes:
        completed: whether its rule was met, now or before.
        last_position: seconds into the video; None: nobody has told.
        watched: seconds of the video that were played, each counted once.
        time_spent: seconds in all.
        best_score: of the attempts; None: there is none.
    """

    lesson_id: UUID
    completed: bool
    completion_date: datetime | None
    last_position: int | None
    watched: int
    time_spent: int
    best_score: Decimal | None


_TIME = bindparam("time", type_=Integer)
# GREATEST and COALESCE pass over NULL: what is not told stays.
_WATCHED = func.greatest(LessonProgress.watched, bindparam("seen", type_=Integer))
_COMPLETED: ColumnElement[bool] = or_(
    LessonProgress.completed,
    is_met(_WATCHED, LessonProgress.best_score),
    and_(
        bindparam("viewed", type_=Boolean),
        is_met_when_viewed(_WATCHED, LessonProgress.best_score),
    ),
)
_VISIT = (
    update(LessonProgress)
    .where(
        LessonProgress.enrollment_id == bindparam("enrollment", type_=Uuid),
        LessonProgress.lesson_id == bindparam("lesson", type_=Uuid),
        CourseLesson.id == LessonProgress.lesson_id,
    )
    .values(
        last_position=func.coalesce(
            bindparam("place", type_=Integer), LessonProgress.last_position
        ),
        watched=_WATCHED,
        time_spent=func.least(LessonProgress.time_spent, MOST_SECONDS - _TIME) + _TIME,
        last_accessed=func.clock_timestamp(),
        completed=_COMPLETED,
        completion_date=case(
            (_COMPLETED, func.coalesce(LessonProgress.completion_date, func.clock_timestamp()))
        ),
    )
    .returning(
        LessonProgress.id,
        LessonProgress.completed,
        LessonProgress.completion_date,
        LessonProgress.last_position,
        LessonProgress.watched,
        LessonProgress.time_spent,
        LessonProgress.best_score,
    )
    .execution_options(synchronize_session=False)
)


def record_visit(
    session: Session,
    enrollment_id: UUID,
    lesson_id: UUID,
    *,
    position: int | None = None,
    watched: int | None = None,
    time_spent: int = 0,
    viewed: bool = False,
) -> Visit:
    """Note that a student works on a lesson, and complete it when its rule is met.

    ::

        record_visit(session, enrollment_id, lesson_id, position=95, watched=80, time_spent=30)

    Args:
        session: a session of the enrollment's region.
        enrollment_id: the enrollment.
        lesson_id: a lesson of its course.
        position: seconds into the video, where to go on; None: as before.
        watched: seconds of the video that were played in all, each counted once, as the player
            tells; one that knows less than was told before changes nothing.
        time_spent: seconds, added to those spent before.
        viewed: whether the student is through with it, which completes a lesson with the rule
            ``viewed``.

    Raises:
        EnrollmentNotFound, LessonNotFound: no such row.
        EnrollmentNotActive: the enrollment was dropped or has expired.
        InvalidAmount: not a number of seconds.
    """
    values = {
        "enrollment": enrollment_id,
        "lesson": lesson_id,
        "place": None if position is None else checked_seconds(position),
        "seen": None if watched is None else checked_seconds(watched),
        "time": checked_seconds(time_spent),
        "viewed": viewed is True,
    }
    touch_enrollment(session, enrollment_id)
    row = session.execute(_VISIT, values).one_or_none()
    if row is None:
        raise LessonNotFound(enrollment_id=enrollment_id, lesson_id=lesson_id)
    expire_counted(session, LessonProgress, row.id)
    expire_counted(session, Enrollment, enrollment_id)
    found: Sequence[Any] = row[1:]
    return Visit(lesson_id, *found)


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a student goes on.

    Attributes:
        last_position: seconds into the video; None: from its beginning.
        last_accessed: when the student worked on it; None: it comes next.
    """

    lesson_id: UUID
    module_id: UUID
    title: str
    lesson_type: LessonType
    content_id: UUID | None
    last_position: int | None
    last_accessed: datetime | None


def _lessons_of_an_enrollment() -> Select[*tuple[Any, ...]]:
    return (
        select(
            CourseLesson.id,
            CourseLesson.module_id,
            CourseLesson.title,
            CourseLesson.lesson_type,
            CourseLesson.content_id,
            LessonProgress.last_position,
            LessonProgress.last_accessed,
            LessonProgress.enrollment_id,
        )
        .join_from(LessonProgress, CourseLesson, CourseLesson.id == LessonProgress.lesson_id)
        .join(CourseModule, CourseModule.id == CourseLesson.module_id)
        .where(LessonProgress.enrollment_id == Enrollment.id, ~LessonProgress.archived)
    )


_LAST = lateral(
    _lessons_of_an_enrollment()
    .add_columns(
        LessonProgress.completed,
        CourseModule.position.label("module_position"),
        CourseLesson.position,
    )
    .where(LessonProgress.last_accessed.is_not(None))
    .order_by(LessonProgress.last_accessed.desc(), LessonProgress.id)
    .limit(1)
    .correlate(Enrollment),
    name="last",
)
_NEXT = lateral(
    _lessons_of_an_enrollment()
    .where(~LessonProgress.completed, or_(_LAST.c.completed.is_(None), _LAST.c.completed))
    .order_by(
        # What follows the last one first, then what was left out before it.
        or_(
            CourseModule.position > _LAST.c.module_position,
            and_(
                CourseModule.position == _LAST.c.module_position,
                CourseLesson.position > _LAST.c.position,
            ),
        ).desc(),
        CourseModule.position,
        CourseLesson.position,
    )
    .limit(1)
    .correlate(Enrollment, _LAST),
    name="next",
)
_RESUME = (
    select(Enrollment.id, _LAST.c.completed, *list(_LAST.c)[:7], *list(_NEXT.c)[:7])
    .select_from(Enrollment)
    .outerjoin(_LAST, _LAST.c.enrollment_id == Enrollment.id)
    .outerjoin(_NEXT, _NEXT.c.enrollment_id == Enrollment.id)
    .where(Enrollment.id == bindparam("enrollment", type_=Uuid))
)


def resume(session: Reader, enrollment_id: UUID) -> ResumePoint | None:
    """Return the lesson that a student goes on with, in one statement; None: all are done.

    That is the one last worked on, or, where it is completed, the next one in the curriculum
    that is open, or else the first one that was left out.

    Raises:
        EnrollmentNotFound: there is none.
    """
    row = session.execute(_RESUME, {"enrollment": enrollment_id}).one_or_none()
    if row is None:
        raise EnrollmentNotFound(enrollment_id=enrollment_id)
    completed, last, following = row[1], row[2:9], row[9:16]
    if completed is False:
        return ResumePoint(*last)
    return None if following[0] is None else ResumePoint(*following)
