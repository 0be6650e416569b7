"""How far a student is in a course, by module and by lesson."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select

from elearning.crud.listing import Listing
from elearning.errors import EnrollmentNotFound
from elearning.models import (
    CompletionRule,
    CourseLesson,
    CourseModule,
    Enrollment,
    EnrollmentStatus,
    LessonProgress,
    LessonType,
)
from elearning.routing import Reader

__all__ = [
    "CourseProgress",
    "LessonState",
    "ModuleProgress",
    "course_progress",
    "list_lesson_progress",
]

_ALL = Decimal(100)
_NOT_ALL = Decimal("99.99")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class ModuleProgress:
    """How far a student is in a module; lessons that are archived do not count."""

    module_id: UUID
    position: int
    title: str
    completed_lessons: int
    total_lessons: int
    time_spent: int

    @property
    def percentage(self) -> Decimal:
        """0 to 100, and below 100 until the last lesson, as `Enrollment.progress_percentage`."""
        if not self.total_lessons:
            return Decimal(0)
        if self.completed_lessons == self.total_lessons:
            return _ALL
        share = _ALL * self.completed_lessons / self.total_lessons
        return min(share.quantize(_CENT, ROUND_HALF_UP), _NOT_ALL)


@dataclass(frozen=True, slots=True)
class CourseProgress:
    """How far a student is in a course.

    Attributes:
        time_spent: seconds, also in lessons that are archived by now.
        last_accessed: when progress was last made; None: never.
        modules: all of the course, in order.
    """

    enrollment_id: UUID
    course_id: UUID
    status: EnrollmentStatus
    completed_lessons: int
    total_lessons: int
    percentage: Decimal
    completion_date: datetime | None
    last_accessed: datetime | None
    time_spent: int
    modules: tuple[ModuleProgress, ...]


_OF_MODULES = (
    select(
        CourseLesson.module_id,
        func.count().filter(~LessonProgress.archived).label("total"),
        func.count().filter(~LessonProgress.archived, LessonProgress.completed).label("done"),
        func.sum(LessonProgress.time_spent).label("time"),
    )
    .join_from(LessonProgress, CourseLesson, CourseLesson.id == LessonProgress.lesson_id)
    .where(LessonProgress.enrollment_id == bindparam("enrollment", type_=Uuid))
    .group_by(CourseLesson.module_id)
    .subquery("of_modules")
)
_PROGRESS = (
    select(
        Enrollment.course_id,
        Enrollment.status,
        Enrollment.completed_lessons,
        Enrollment.total_lessons,
        Enrollment.progress_percentage,
        Enrollment.completion_date,
        Enrollment.last_accessed,
        CourseModule.id,
        CourseModule.position,
        CourseModule.title,
        func.coalesce(_OF_MODULES.c.done, 0),
        func.coalesce(_OF_MODULES.c.total, 0),
        func.coalesce(_OF_MODULES.c.time, 0),
    )
    .outerjoin(CourseModule, CourseModule.course_id == Enrollment.course_id)
    .outerjoin(_OF_MODULES, _OF_MODULES.c.module_id == CourseModule.id)
    .where(Enrollment.id == bindparam("enrollment", type_=Uuid))
    .order_by(CourseModule.position)
)
_OWN = 7
"""How many of its columns are the enrollment's."""


def course_progress(session: Reader, enrollment_id: UUID) -> CourseProgress:
    """Return how far an enrollment is, module by module, in one statement.

    Raises:
        EnrollmentNotFound: there is none.
    """
    rows: Sequence[Any] = session.execute(_PROGRESS, {"enrollment": enrollment_id}).all()
    if not rows:
        raise EnrollmentNotFound(enrollment_id=enrollment_id)
    modules = tuple(ModuleProgress(*row[_OWN:]) for row in rows if row[_OWN] is not None)
    time_spent = sum(each.time_spent for each in modules)
    own: Sequence[Any] = (*rows[0][:_OWN], time_spent, modules)
    return CourseProgress(enrollment_id, *own)


@dataclass(frozen=True, slots=True)
class LessonState:
    """A lesson, and how far a student is in it; see `LessonProgress`."""

    lesson_id: UUID
    module_id: UUID
    title: str
    lesson_type: LessonType
    duration_minutes: int | None
    completion_rule: CompletionRule
    completion_threshold: int | None
    completed: bool
    completion_date: datetime | None
    last_position: int | None
    watched: int
    best_score: Decimal | None
    time_spent: int
    last_accessed: datetime | None


def list_lesson_progress(enrollment_id: UUID) -> Listing[LessonState]:
    """List the lessons of an enrollment in the order of the curriculum, without archived ones."""
    return Listing(
        select(
            LessonProgress.lesson_id,
            CourseLesson.module_id,
            CourseLesson.title,
            CourseLesson.lesson_type,
            CourseLesson.duration_minutes,
            CourseLesson.completion_rule,
            CourseLesson.completion_threshold,
            LessonProgress.completed,
            LessonProgress.completion_date,
            LessonProgress.last_position,
            LessonProgress.watched,
            LessonProgress.best_score,
            LessonProgress.time_spent,
            LessonProgress.last_accessed,
        )
        .join_from(LessonProgress, CourseLesson, CourseLesson.id == LessonProgress.lesson_id)
        .join(CourseModule, CourseModule.id == CourseLesson.module_id)
        .where(LessonProgress.enrollment_id == enrollment_id, ~LessonProgress.archived)
        .order_by(CourseModule.position, CourseLesson.position),
        lambda row: LessonState(*row),
    )
