"""What a course consists of, read in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select

from elearning.errors import CourseNotFound
from elearning.models import (
    CompletionRule,
    Course,
    CourseLesson,
    CourseModule,
    CourseStatus,
    LessonType,
)
from elearning.routing import Reader

__all__ = ["Curriculum", "CurriculumLesson", "CurriculumModule", "curriculum"]


@dataclass(frozen=True, slots=True)
class CurriculumLesson:
    """A lesson, in its place."""

    id: UUID
    position: int
    title: str
    lesson_type: LessonType
    content_id: UUID | None
    duration_minutes: int | None
    is_preview: bool
    completion_rule: CompletionRule
    completion_threshold: int | None


@dataclass(frozen=True, slots=True)
class CurriculumModule:
    """A module with its lessons, in its place."""

    id: UUID
    position: int
    title: str
    description: str
    lessons: Sequence[CurriculumLesson]


@dataclass(frozen=True, slots=True)
class Curriculum:
    """A course with its modules; what is archived is not in it."""

    course_id: UUID
    title: str
    status: CourseStatus
    modules: Sequence[CurriculumModule]

    @property
    def lessons(self) -> Sequence[CurriculumLesson]:
        """All lessons in the order in which they are taken."""
        return [lesson for module in self.modules for lesson in module.lessons]


_COURSE = (Course.id, Course.title, Course.status)
_MODULE = (CourseModule.id, CourseModule.position, CourseModule.title, CourseModule.description)
_LESSON = (
    CourseLesson.id,
    CourseLesson.position,
    CourseLesson.title,
    CourseLesson.lesson_type,
    CourseLesson.content_id,
    CourseLesson.duration_minutes,
    CourseLesson.is_preview,
    CourseLesson.completion_rule,
    CourseLesson.completion_threshold,
)
_ALL = (
    select(*_COURSE, *_MODULE, *_LESSON)
    .join(CourseModule, CourseModule.course_id == Course.id, isouter=True)
    .join(
        CourseLesson,
        and_(CourseLesson.module_id == CourseModule.id, CourseLesson.archived_at.is_(None)),
        isouter=True,
    )
    .order_by(CourseModule.position, CourseLesson.position)
)


def curriculum(session: Reader, course_id: UUID) -> Curriculum:
    """Return a course's modules with their lessons, in one statement, from a copy nearby.

    Args:
        session: any session; where its user has just edited the course, with the token of that.
        course_id: the course.

    Raises:
        CourseNotFound: there is no such course on the shard that was asked.
    """
    rows: list[tuple[Any, ...]] = [*session.execute(_ALL.where(Course.id == course_id))]
    if not rows:
        raise CourseNotFound(course_id=course_id)
    begin, end = len(_COURSE), len(_COURSE) + len(_MODULE)
    lessons: dict[UUID, list[CurriculumLesson]] = {}
    modules: list[CurriculumModule] = []
    for row in rows:
        module = row[begin:end]
        if module[0] is None:
            continue
        if module[0] not in lessons:
            lessons[module[0]] = []
            modules.append(CurriculumModule(*(*module, lessons[module[0]])))
        if row[end] is not None:
            lessons[module[0]].append(CurriculumLesson(*row[end:]))
    return Curriculum(*(*rows[0][:begin], modules))
