"""Whatever happens, counters tell what plain SQL counts in the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from elearning.crud import (
    complete_refund,
    complete_transaction,
    create_refund,
    create_transaction,
    enroll_user,
    fail_transaction,
    mark_lesson_complete,
    mark_lesson_open,
)
from elearning.errors import AccountNotActive, Conflict, NotFound
from elearning.models import CourseLesson
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    UserFactory,
    bound,
)
from tests.models.counted import differences

pytestmark = pytest.mark.unmeasured

PEOPLE, COURSES, LESSONS = 4, 2, 2
MONTHS = ("2023-12-31 23:59:59+00", "2024-01-01 00:00+00", "2024-02-29 12:00+05")
Step = tuple[str, int, int, int]

CALLS = (
    "enroll",
    "learn",
    "unlearn",
    "pay",
    "pay abroad",
    "refund",
    "fail",
    "lesson",
    "nothing",
)
SQL = {
    "drop": "UPDATE enrollments SET status = 'dropped' WHERE user_id = :user AND status = 'active'",
    "expire all": "UPDATE enrollments SET status = 'expired' WHERE status = 'active'",
    "complete": "UPDATE enrollments SET status = 'completed', completion_date = '2300-01-01' "
    "WHERE course_id = :course AND status = 'active'",
    "go on": "UPDATE enrollments SET status = 'active', completion_date = NULL "
    "WHERE user_id = :user AND status <> 'active'",
    "another month": "UPDATE enrollments SET enrollment_date = :moment WHERE user_id = :user",
    "other months": "UPDATE enrollments SET enrollment_date = enrollment_date - interval '1 month'",
    "delete": "DELETE FROM enrollments WHERE user_id = :user AND course_id = :course",
    "archive lesson": "UPDATE course_lessons SET archived_at = now() WHERE position = 1",
    "open lesson": "UPDATE course_lessons SET archived_at = NULL",
    "suspend": "UPDATE users SET status = 'suspended' WHERE id = :user",
    "all active": "UPDATE users SET status = 'active'",
    "teach": "UPDATE users SET user_type = 'instructor' WHERE id = :user",
    "joined": "UPDATE users SET created_at = :moment",
    "leave": "DELETE FROM users WHERE id = :user "
    "AND NOT EXISTS (SELECT FROM transactions WHERE user_id = :user)",
    "archive": "UPDATE courses SET status = 'archived', archived_at = now() WHERE id = :course",
    "publish": "UPDATE courses SET status = 'published', published_at = now() "
    "WHERE status <> 'published'",
    "review": "INSERT INTO course_reviews (id, enrollment_id, course_id, rating) "
    "SELECT new_id(region_code_of(id)), id, course_id, :number FROM enrollments "
    "WHERE user_id = :user ON CONFLICT DO NOTHING",
    "rate": "UPDATE course_reviews SET rating = :number",
    "hide": "UPDATE course_reviews SET hidden_at = now(), hidden_reason = 'x' "
    "WHERE rating = :number AND hidden_at IS NULL",
    "show": "UPDATE course_reviews SET hidden_at = NULL, hidden_reason = NULL",
    "fold": "SELECT fold_platform_counters()",
}
STEPS = st.tuples(
    st.sampled_from([*CALLS, *CALLS, *SQL]),
    st.integers(0, PEOPLE - 1),
    st.integers(0, COURSES - 1),
    st.integers(1, 5),
)


class School:
    """Two courses of two lessons each, and four people in two regions of one shard."""

    def __init__(self, session: RoutingSession) -> None:
        self.session = session
        with bound(session):
            courses = CourseFactory.create_batch(COURSES)
            modules = [CourseModuleFactory.create(course=course) for course in courses]
            self.lessons: list[list[CourseLesson]] = [
                CourseLessonFactory.create_batch(LESSONS, module=module) for module in modules
            ]
            self.people: list[UUID] = [
                UserFactory.create(region=region).id
                for region in ("europe", "africa")
                for _ in range(PEOPLE // 2)
            ]
        self.modules = modules
        self.courses = [course.id for course in courses]

    def step(self, name: str, person: int, course: int, number: int) -> None:
        user_id, course_id = self.people[person], self.courses[course]
        if name in SQL:
            self._run(SQL[name], user_id, course_id, number)
            return
        match name:
            case "enroll":
                enroll_user(self.session, user_id, course_id)
            case "learn" | "unlearn":
                change = mark_lesson_complete if name == "learn" else mark_lesson_open
                lesson = self.lessons[course][number % LESSONS]
                for enrollment_id in self._ids(
                    "SELECT id FROM enrollments WHERE user_id = :user AND course_id = :course",
                    user_id,
                    course_id,
                ):
                    change(self.session, enrollment_id, lesson.id)
            case "pay" | "pay abroad":
                currency = "EUR" if name == "pay" else "KWD"
                payment = create_transaction(
                    self.session,
                    user_id,
                    course_id,
                    gateway="simulated",
                    amount=number - 1,
                    currency=currency,
                )
                complete_transaction(self.session, payment.id, str(payment.id))
            case "refund" | "fail":
                for payment_id in self._ids(
                    "SELECT id FROM transactions WHERE user_id = :user AND status = 'completed' "
                    "AND refund_of_id IS NULL LIMIT 1",
                    user_id,
                    course_id,
                ):
                    self.session.expire_all()
                    refund = create_refund(self.session, payment_id, amount=number - 1)
                    if name == "refund":
                        complete_refund(self.session, refund.id, str(refund.id))
                    else:
                        fail_transaction(self.session, refund.id)
            case "lesson":
                with bound(self.session):
                    CourseLessonFactory.create(module=self.modules[course])

    def _ids(self, statement: str, user_id: UUID, course_id: UUID) -> list[UUID]:
        values = {"user": user_id, "course": course_id}
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        return list(self.session.scalars(text(statement), used))

    def _run(self, statement: str, user_id: UUID, course_id: UUID, number: int) -> None:
        values = {
            "user": user_id,
            "course": course_id,
            "number": number,
            "moment": MONTHS[number % len(MONTHS)],
        }
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        self.session.execute(text(statement), used)
        self.session.expire_all()


@pytest.fixture(scope="module")
def nobody(clean: Callable[[], None]) -> None:
    clean()


@pytest.fixture
def session(engines: Engines, nobody: None) -> Iterator[RoutingSession]:
    with RoutingSession(engines=engines, region="europe") as opened:
        yield opened


@given(st.lists(STEPS, min_size=5, max_size=30))
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_counters_in_any_order(session: RoutingSession, steps: list[Step]) -> None:
    session.rollback()  # what the example before has done
    school = School(session)
    for step in steps:
        with suppress(AccountNotActive, Conflict, NotFound), session.begin_nested():
            school.step(*step)
        assert differences(session) == [], step
    assert session.scalar(text("SELECT fold_platform_counters()")) is not None
    assert differences(session) == []
