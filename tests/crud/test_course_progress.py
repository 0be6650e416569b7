"""How far a student is, by module and by lesson."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import func, update

from elearning.crud import (
    ModuleProgress,
    course_progress,
    get_enrollment,
    list_lesson_progress,
    mark_lesson_complete,
    record_visit,
    submit_attempt,
)
from elearning.errors import EnrollmentNotFound, InvalidPage
from elearning.ids import new_id
from elearning.models import CompletionRule, Course, CourseLesson, CourseModule, EnrollmentStatus
from elearning.routing import Engines, ReadSession, RoutingSession
from elearning.testing.factories import CourseModuleFactory, bound
from tests.crud.learning import Studies, make_studies, wait_for_replicas
from tests.served import served

STRANGER = new_id("europe")


@pytest.fixture
def studies(session: RoutingSession) -> Studies:
    made = make_studies(session)
    record_visit(session, made.enrollment_id, made.video, position=9, watched=8, time_spent=70)
    mark_lesson_complete(session, made.enrollment_id, made.text, time_spent=30)
    submit_attempt(session, made.enrollment_id, made.quiz, "59.50")
    session.commit()
    return made


def test_progress_by_module(studies: Studies) -> None:
    with bound(studies.session):
        empty = CourseModuleFactory.create(
            course=studies.session.get_one(Course, studies.course_id), position=3, title="Empty"
        )
    progress = course_progress(studies.session, studies.enrollment_id)
    enrollment = get_enrollment(studies.session, studies.enrollment_id)
    assert progress.course_id == studies.course_id
    assert progress.status is EnrollmentStatus.ACTIVE
    assert (progress.completed_lessons, progress.total_lessons) == (1, 4)
    assert progress.percentage == enrollment.progress_percentage == 25
    assert progress.last_accessed == enrollment.last_accessed
    assert progress.completion_date is None
    assert progress.time_spent == 100
    first, second = studies.module_ids
    assert progress.modules == (
        ModuleProgress(first, 1, "First", 1, 2, 100),
        ModuleProgress(second, 2, "Second", 0, 2, 0),
        ModuleProgress(empty.id, 3, "Empty", 0, 0, 0),
    )
    assert [module.percentage for module in progress.modules] == [50, 0, 0]


def test_archived_lessons_do_not_count_but_their_time_was_spent(studies: Studies) -> None:
    studies.session.execute(
        update(CourseLesson).where(CourseLesson.id == studies.text).values(archived_at=func.now())
    )
    progress = course_progress(studies.session, studies.enrollment_id)
    assert (progress.completed_lessons, progress.total_lessons) == (0, 3)
    assert (progress.modules[0].completed_lessons, progress.modules[0].total_lessons) == (0, 1)
    assert progress.time_spent == 100
    lessons = list_lesson_progress(studies.enrollment_id).page(studies.session).items
    assert [each.title for each in lessons] == ["Video", "Quiz", "Essay"]


@pytest.mark.parametrize(
    ("done", "total", "percentage"),
    [
        (0, 0, "0"),
        (0, 3, "0"),
        (1, 3, "33.33"),
        (2, 3, "66.67"),
        (1, 32, "3.13"),
        (9_999, 10_000, "99.99"),
        (99_999, 100_000, "99.99"),
        (3, 3, "100"),
    ],
)
def test_a_percentage_is_as_that_of_the_course(done: int, total: int, percentage: str) -> None:
    module = ModuleProgress(STRANGER, 1, "M", done, total, 0)
    assert module.percentage == Decimal(percentage)


def test_where_progress_is_read(studies: Studies, engines: Engines) -> None:
    wait_for_replicas(engines, studies.session)
    with (
        ReadSession(engines=engines, region="asia", token=studies.session.token) as reader,
        served(engines) as nodes,
    ):
        course_progress(reader, studies.enrollment_id)
        list_lesson_progress(studies.enrollment_id).page(reader)
        with pytest.raises(EnrollmentNotFound, match=str(STRANGER)):
            course_progress(reader, STRANGER)
    assert nodes == ["eu-replica-1"] * 3


def test_lessons_in_the_order_of_the_curriculum(studies: Studies) -> None:
    lessons = list_lesson_progress(studies.enrollment_id)
    page = lessons.page(studies.session, size=3)
    rest = lessons.page(studies.session, size=3, after=page.next)
    assert [each.lesson_id for each in [*page.items, *rest.items]] == studies.lessons
    assert rest.next is None
    text, video, quiz = page.items
    assert (text.completed, text.time_spent) == (True, 30)
    assert text.completion_date is not None
    assert (video.completion_rule, video.completion_threshold) == (CompletionRule.WATCHED, 80)
    assert (video.last_position, video.watched, video.duration_minutes) == (9, 8, 10)
    assert (quiz.best_score, quiz.module_id) == (Decimal("59.50"), studies.module_ids[1])
    assert quiz.last_accessed is not None
    assert rest.items[0].last_accessed is None
    with pytest.raises(InvalidPage):
        lessons.page(studies.session, after="x")


def test_a_moved_module_moves_its_lessons(studies: Studies) -> None:
    studies.session.execute(
        update(CourseModule).where(CourseModule.id == studies.module_ids[0]).values(position=9)
    )
    lessons = list_lesson_progress(studies.enrollment_id).page(studies.session).items
    assert [each.title for each in lessons] == ["Quiz", "Essay", "Text", "Video"]
    modules = course_progress(studies.session, studies.enrollment_id).modules
    assert [each.title for each in modules] == ["Second", "First"]


def test_nobody_has_no_lessons(session: RoutingSession) -> None:
    assert list_lesson_progress(STRANGER).page(session).items == []
