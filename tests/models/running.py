"""A course that people take."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, insert, select, text, update

from elearning.crud import enroll_user, mark_lesson_complete
from elearning.ids import new_id, region_of
from elearning.models import (
    CourseLesson,
    Enrollment,
    EnrollmentStatus,
    LessonProgress,
    LessonType,
)
from elearning.routing import RoutingSession
from elearning.testing.factories import CourseModuleFactory, UserFactory, bound


class Counts(NamedTuple):
    """How far an enrollment is, as its row says."""

    completed: int
    total: int
    percentage: Decimal
    status: EnrollmentStatus
    completion_date: datetime | None


@dataclass
class Running:
    """A course of one module, and the session that its rows are written by."""

    session: RoutingSession
    course_id: UUID
    module_id: UUID
    lessons: list[UUID] = field(default_factory=list)

    def add_lesson(self, **values: Any) -> UUID:
        own: dict[str, Any] = {
            "id": new_id(region_of(self.module_id)),
            "module_id": self.module_id,
            "position": len(self.lessons) + 1,
            "title": "L",
            "lesson_type": LessonType.QUIZ,
        }
        self.session.execute(insert(CourseLesson).values(own | values))
        self.lessons.append(own["id"])
        return self.lessons[-1]

    def archive(self, lesson_id: UUID, *, archived: bool = True) -> None:
        self.session.execute(
            update(CourseLesson)
            .where(CourseLesson.id == lesson_id)
            .values(archived_at=func.clock_timestamp() if archived else None)
        )

    def enroll(self, *done: UUID, status: EnrollmentStatus | None = None) -> UUID:
        """Let somebody new take the course, and complete some lessons."""
        with bound(self.session):
            user = UserFactory.create(region=self.session.region)
        enrollment_id = enroll_user(self.session, user.id, self.course_id)
        for lesson_id in done:
            mark_lesson_complete(self.session, enrollment_id, lesson_id)
        if status is not None:
            self.session.execute(
                update(Enrollment).where(Enrollment.id == enrollment_id).values(status=status)
            )
        return enrollment_id

    def undo(self, enrollment_id: UUID, lesson_id: UUID) -> None:
        """Un-complete a lesson."""
        self.session.execute(
            update(LessonProgress)
            .where(
                LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson_id
            )
            .values(completed=False, completion_date=None)
        )

    def counts(self, enrollment_id: UUID) -> Counts:
        row = self.session.execute(
            select(
                Enrollment.completed_lessons,
                Enrollment.total_lessons,
                Enrollment.progress_percentage,
                Enrollment.status,
                Enrollment.completion_date,
            ).where(Enrollment.id == enrollment_id)
        ).one()
        return Counts(*row)

    def shown(self, enrollment_id: UUID) -> str:
        """Return the counts as a short text, once they are what plain SQL counts."""
        assert miscounted(self.session) == []
        counts = self.counts(enrollment_id)
        assert (counts.completion_date is not None) is (counts.status is EnrollmentStatus.COMPLETED)
        return f"{counts.completed}/{counts.total} {counts.percentage} {counts.status}"


def make_running(session: RoutingSession, lessons: int, region: str = "europe") -> Running:
    with bound(session):
        module = CourseModuleFactory.create(course__instructor__region=region)
    running = Running(session, module.course.id, module.id)
    for _ in range(lessons):
        running.add_lesson()
    return running


_MISCOUNTED = text("""
    SELECT enrollment.id::text, completed_lessons, total_lessons, progress_percentage,
           counted.done, counted.total
    FROM enrollments AS enrollment
    CROSS JOIN LATERAL (
        SELECT count(*) AS total,
               -- NULL stands for a lesson of the course that the enrollment has no row of.
               count(*) FILTER (WHERE progress.completed) AS done,
               count(*) FILTER (WHERE progress.id IS NULL) AS missing
        FROM course_lessons AS lesson
        JOIN course_modules AS module ON module.id = lesson.module_id
        LEFT JOIN lesson_progress AS progress
            ON progress.lesson_id = lesson.id AND progress.enrollment_id = enrollment.id
        WHERE module.course_id = enrollment.course_id AND lesson.archived_at IS NULL
    ) AS counted
    WHERE counted.missing > 0 OR total_lessons <> counted.total
        OR completed_lessons <> counted.done
        OR progress_percentage <> CASE
            WHEN counted.total = 0 THEN 0
            WHEN counted.done = counted.total THEN 100
            ELSE least(round(100.0 * counted.done / counted.total, 2), 99.99)
        END
""")
_MISMARKED = text("""
    SELECT progress.id::text FROM lesson_progress AS progress
    JOIN course_lessons AS lesson ON lesson.id = progress.lesson_id
    WHERE progress.archived <> (lesson.archived_at IS NOT NULL)
""")


def miscounted(session: RoutingSession) -> list[Any]:
    """Return what does not agree with what the lessons and the progress in them tell."""
    return [*session.execute(_MISCOUNTED), *session.execute(_MISMARKED)]
