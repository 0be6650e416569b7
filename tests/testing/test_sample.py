from __future__ import annotations

import pytest
from sqlalchemy import func, select

from elearning.ids import region_of
from elearning.models import (
    Course,
    CourseCategory,
    CourseLesson,
    CourseModule,
    Enrollment,
    Transaction,
    TransactionStatus,
    User,
    UserType,
)
from elearning.routing import RoutingSession
from elearning.testing.sample import SampleSizes, make_sample

pytestmark = pytest.mark.unmeasured


def test_a_school_by_chance(session: RoutingSession) -> None:
    made = make_sample(session, "africa")
    session.commit()
    count = {
        model: session.scalar(select(func.count()).select_from(model))
        for model in (User, CourseCategory, Course, Enrollment, Transaction)
    }
    assert list(count.values()) == [120, 8, 50, 200, 150]
    teachers = select(func.count()).where(User.user_type == UserType.INSTRUCTOR)
    assert session.scalar(teachers) == len(made.instructors) == 20
    modules = select(func.count(CourseModule.id)).group_by(CourseModule.course_id)
    assert all(3 <= number <= 8 for number in session.scalars(modules))
    lessons = select(func.count(CourseLesson.id)).group_by(CourseLesson.module_id)
    assert all(3 <= number <= 7 for number in session.scalars(lessons))
    paid = select(func.count()).where(Transaction.status == TransactionStatus.COMPLETED)
    assert session.scalar(paid) == 135
    assert {str(region_of(each)) for each in made.enrollments} == {"africa"}


def test_a_small_one_twice(session: RoutingSession) -> None:
    few = SampleSizes(students=2, instructors=1, categories=1, courses=1, transactions=1)
    first, second = (make_sample(session, "europe", sizes=few) for _ in range(2))
    # Nobody takes a course twice.
    assert [len(each.enrollments) for each in (first, second)] == [2, 2]
    levels = select(Course.price_minor, Course.level)
    assert len(set(session.execute(levels).all())) == 1
