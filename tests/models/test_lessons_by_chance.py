"""Whatever happens to a course and its students, the counters are what can be counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from elearning.crud import enroll_user, mark_lesson_complete
from elearning.errors import (
    AlreadyEnrolled,
    EnrollmentNotActive,
    IllegalStep,
    LessonNotFound,
)
from elearning.models import Enrollment, EnrollmentStatus
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound
from tests.models.running import Running, make_running, miscounted

pytestmark = pytest.mark.unmeasured

STUDENTS = 3
LESSONS = 4
Step = tuple[str, int, int]

STEPS = st.tuples(
    st.sampled_from(
        ["add", "archive", "unarchive", "complete", "undo", "enroll", "drop", "delete"]
    ),
    st.integers(0, STUDENTS - 1),
    st.integers(0, LESSONS - 1),
)


@pytest.fixture(scope="module")
def nobody(clean: Callable[[], None]) -> None:
    clean()


@pytest.fixture
def session(engines: Engines, nobody: None) -> Iterator[RoutingSession]:
    with RoutingSession(engines=engines, region="europe") as opened:
        yield opened


def take(running: Running, users: list[UUID], step: Step) -> None:
    name, student, number = step
    enrollment_id = running.session.scalar(
        text("SELECT id FROM enrollments WHERE user_id = :user"), {"user": users[student]}
    )
    lesson = running.lessons[number % len(running.lessons)]
    match name:
        case "add" if len(running.lessons) < LESSONS:
            running.add_lesson()
        case "archive" | "unarchive":
            running.archive(lesson, archived=name == "archive")
        case "complete" if enrollment_id:
            mark_lesson_complete(running.session, enrollment_id, lesson)
        case "undo" if enrollment_id:
            running.undo(enrollment_id, lesson)
        case "enroll":
            enroll_user(running.session, users[student], running.course_id)
        case "drop" if enrollment_id:
            running.session.execute(
                update(Enrollment)
                .where(Enrollment.id == enrollment_id)
                .values(status=EnrollmentStatus.DROPPED)
            )
        case "delete" if enrollment_id:
            running.session.execute(
                text("DELETE FROM enrollments WHERE id = :id"), {"id": enrollment_id}
            )


@given(st.lists(STEPS, min_size=5, max_size=40))
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_update_enrolled_lessons_in_any_order(session: RoutingSession, steps: list[Step]) -> None:
    session.rollback()  # what the example before has done
    running = make_running(session, 2)
    with bound(session):
        users = [user.id for user in UserFactory.create_batch(STUDENTS)]
    for user_id in users[1:]:
        enroll_user(session, user_id, running.course_id)
    for step in steps:
        with (
            suppress(AlreadyEnrolled, EnrollmentNotActive, IllegalStep, LessonNotFound),
            session.begin_nested(),
        ):
            take(running, users, step)
        assert miscounted(session) == [], step
