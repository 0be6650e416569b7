"""A course with lessons of every rule, and somebody who takes it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select

from elearning.config import Settings
from elearning.crud import enroll_user
from elearning.models import CompletionRule, LessonProgress, LessonType
from elearning.routing import Engines, RoutingSession
from elearning.routing.replay import has_replayed
from elearning.testing.factories import (
    CourseLessonFactory,
    CourseModuleFactory,
    UserFactory,
    bound,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Studies:
    """The first module has a text and a video of 10 minutes, the second a quiz and an essay.

    The text and the essay are viewed; of the video 80 percent are watched; the quiz is passed
    with 60.
    """

    session: RoutingSession
    user_id: UUID
    course_id: UUID
    module_ids: tuple[UUID, UUID]
    text: UUID
    video: UUID
    quiz: UUID
    essay: UUID
    enrollment_id: UUID

    @property
    def lessons(self) -> list[UUID]:
        """In the order of the curriculum."""
        return [self.text, self.video, self.quiz, self.essay]

    def row(self, lesson_id: UUID) -> LessonProgress:
        return self.session.scalars(
            select(LessonProgress)
            .where(
                LessonProgress.enrollment_id == self.enrollment_id,
                LessonProgress.lesson_id == lesson_id,
            )
            .execution_options(populate_existing=True)
        ).one()


def make_studies(session: RoutingSession) -> Studies:
    with bound(session):
        first = CourseModuleFactory.create(title="First", position=1)
        second = CourseModuleFactory.create(title="Second", position=2, course=first.course)
        # Made in another order than that of the curriculum.
        lessons = {
            "essay": CourseLessonFactory.create(
                module=second, position=2, title="Essay", lesson_type=LessonType.ASSIGNMENT
            ),
            "quiz": CourseLessonFactory.create(
                module=second,
                position=1,
                title="Quiz",
                lesson_type=LessonType.QUIZ,
                completion_rule=CompletionRule.SCORE,
                completion_threshold=60,
            ),
            "video": CourseLessonFactory.create(
                module=first,
                position=2,
                title="Video",
                duration_minutes=10,
                completion_rule=CompletionRule.WATCHED,
                completion_threshold=80,
            ),
            "text": CourseLessonFactory.create(
                module=first, position=1, title="Text", lesson_type=LessonType.READING
            ),
        }
        user = UserFactory.create(first_name="Ada", last_name="Lovelace")
    course_id = first.course.id
    studies = Studies(
        session,
        user_id=user.id,
        course_id=course_id,
        module_ids=(first.id, second.id),
        enrollment_id=enroll_user(session, user.id, course_id),
        **{name: lesson.id for name, lesson in lessons.items()},
    )
    session.commit()
    return studies


def wait_for_replicas(engines: Engines, session: RoutingSession) -> None:
    """Wait until replicas have what the session has committed, so that they are read."""
    for node in engines.nodes:
        if node in engines.replicas(node.shard) and node.shard in session.token:
            assert has_replayed(node, session.token[node.shard], 10)


def at_once(settings: Settings, several: int, work: Callable[[RoutingSession, int], T]) -> list[T]:
    """Return what some transactions give that begin at one moment."""
    start = Barrier(several)

    def one(number: int) -> T:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            own.connection()
            start.wait(timeout=20)
            return work(own, number)

    with Engines(settings, pool_size=several) as engines, ThreadPoolExecutor(several) as pool:
        return list(pool.map(one, range(several)))
