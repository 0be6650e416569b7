"""How many take a course, and what they think of it: counted by region, summed up."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import Connection, select, text

from elearning.models import Course, CourseStatistics, EnrollmentStatus
from elearning.routing import RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseReviewFactory,
    EnrollmentFactory,
    UserFactory,
    bound,
)
from tests.models.seats import wrong
from tests.models.support import scalar
from tests.models.world import World

EUROPE, AFRICA = 3, 4
Counted = dict[int, tuple[int, int, int, int]]


def counted(session: RoutingSession, course: Course) -> Counted:
    """Return enrollments, completions and the ratings of each region, once they agree."""
    assert wrong(session) == []
    s = CourseStatistics
    rows = session.execute(
        select(s.region_code, s.enrollments, s.completions, s.rating_sum, s.total_ratings).where(
            s.course_id == course.id
        )
    )
    return {code: (live, done, total, number) for code, live, done, total, number in rows}


def test_update_course_statistics_insert(session: RoutingSession) -> None:
    with bound(session):
        course = CourseFactory.create()
        EnrollmentFactory.create_batch(2, course=course)
        EnrollmentFactory.create(course=course, user__region="africa")
        assert counted(session, course) == {EUROPE: (2, 0, 0, 0), AFRICA: (1, 0, 0, 0)}
        EnrollmentFactory.create(course=course, status=EnrollmentStatus.DROPPED)
        assert counted(session, course)[EUROPE] == (2, 0, 0, 0)


def test_update_course_statistics_update(session: RoutingSession) -> None:
    with bound(session):
        course = CourseFactory.create()
        enrollment = EnrollmentFactory.create(course=course)
        EnrollmentFactory.create(course=course)
    seen = []
    for status in ("completed", "active", "dropped", "active", "expired", "expired"):
        session.execute(
            text("UPDATE enrollments SET status = :status, completion_date = :date WHERE id = :id"),
            {
                "status": status,
                "date": "2300-01-01" if status == "completed" else None,
                "id": enrollment.id,
            },
        )
        seen.append(counted(session, course)[EUROPE][:2])
    assert seen == [(2, 1), (2, 0), (1, 0), (2, 0), (1, 0), (1, 0)]


def test_update_course_statistics_delete(session: RoutingSession) -> None:
    with bound(session):
        course = CourseFactory.create()
        enrollments = EnrollmentFactory.create_batch(2, course=course)
    session.delete(enrollments[0])
    session.flush()
    assert counted(session, course) == {EUROPE: (1, 0, 0, 0)}
    # With the account everything goes, and is counted down.
    session.execute(text("DELETE FROM users WHERE id = :id"), {"id": enrollments[1].user_id})
    assert counted(session, course) == {EUROPE: (0, 0, 0, 0)}


def test_update_course_statistics_in_bulk(session: RoutingSession) -> None:
    with bound(session):
        courses = CourseFactory.create_batch(3)
        UserFactory.create_batch(5)
        UserFactory.create_batch(3, region="africa")
    for course in courses:
        session.execute(
            text(
                "INSERT INTO enrollments (id, user_id, course_id) "
                "SELECT new_id(region_code_of(id)), id, :course FROM users "
                "WHERE user_type = 'student'"
            ),
            {"course": course.id},
        )
    for course in courses:
        assert counted(session, course) == {EUROPE: (5, 0, 0, 0), AFRICA: (3, 0, 0, 0)}
    # A statement that leaves the status alone touches no counter.
    before = session.execute(text("SELECT xmin::text, ctid::text FROM course_statistics")).all()
    session.execute(text("UPDATE enrollments SET last_accessed = now()"))
    after = session.execute(text("SELECT xmin::text, ctid::text FROM course_statistics")).all()
    assert after == before
    session.execute(
        text("UPDATE enrollments SET status = 'dropped' WHERE course_id <> :course"),
        {"course": courses[0].id},
    )
    assert counted(session, courses[0])[AFRICA] == (3, 0, 0, 0)
    assert counted(session, courses[1]) == {EUROPE: (0, 0, 0, 0), AFRICA: (0, 0, 0, 0)}
    session.execute(text("DELETE FROM enrollments"))
    assert counted(session, courses[0]) == {EUROPE: (0, 0, 0, 0), AFRICA: (0, 0, 0, 0)}


def test_update_course_rating_of_each_region(session: RoutingSession) -> None:
    with bound(session):
        course = CourseFactory.create()
        mine = CourseReviewFactory.create(enrollment__course=course, rating=5)
        theirs = CourseReviewFactory.create(
            enrollment__course=course, enrollment__user__region="africa", rating=2
        )
    assert counted(session, course) == {EUROPE: (1, 0, 5, 1), AFRICA: (1, 0, 2, 1)}
    theirs.rating = 3
    session.flush()
    assert counted(session, course)[AFRICA] == (1, 0, 3, 1)
    session.refresh(course)
    assert (course.rating, course.total_ratings) == (Decimal(4), 2)
    # A review goes with its enrollment.
    session.execute(text("DELETE FROM enrollments WHERE id = :id"), {"id": mine.enrollment_id})
    assert counted(session, course) == {EUROPE: (0, 0, 0, 0), AFRICA: (1, 0, 3, 1)}
    session.refresh(course)
    assert (course.rating, course.total_ratings) == (Decimal(3), 1)


def ratings(root: Connection, course_id: UUID) -> tuple[int, int]:
    found = root.exec_driver_sql(
        f"SELECT rating_sum, total_ratings FROM courses WHERE id = '{course_id}'"
    )
    total, number = found.one()
    return total, number


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_sum_course_ratings_of_another_region(root: Connection, world: World, role: str) -> None:
    # As replication brings them; the world's own review has 4 points.
    course = f"course_id = '{world.course}' AND region_code = 5"
    root.exec_driver_sql(f"SET LOCAL session_replication_role = {role}")
    root.exec_driver_sql(f"INSERT INTO course_statistics VALUES ('{world.course}', 5, 3, 0, 10, 2)")
    assert ratings(root, world.course) == (14, 3)
    root.exec_driver_sql(f"UPDATE course_statistics SET rating_sum = 6 WHERE {course}")
    assert ratings(root, world.course) == (10, 3)
    version = f"SELECT xmin::text FROM courses WHERE id = '{world.course}'"
    before = scalar(root, version)
    root.exec_driver_sql(f"UPDATE course_statistics SET enrollments = 9 WHERE {course}")
    assert scalar(root, version) == before
    root.exec_driver_sql(f"DELETE FROM course_statistics WHERE {course}")
    assert ratings(root, world.course) == (4, 1)


def test_sum_course_ratings_that_come_before_their_course(root: Connection, world: World) -> None:
    # Tables are copied side by side.
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")
    columns = "course_code, slug, title, instructor_id, currency, language"
    root.exec_driver_sql(
        "CREATE TEMPORARY TABLE late ON COMMIT DROP AS SELECT new_id(5) AS id, new_id(5) AS teacher"
    )
    root.exec_driver_sql("INSERT INTO course_statistics SELECT id, 5, 3, 0, 10, 2 FROM late")
    root.exec_driver_sql("INSERT INTO course_statistics SELECT id, 1, 1, 0, 2, 1 FROM late")
    root.exec_driver_sql(
        f"INSERT INTO courses (id, {columns}) "
        "SELECT id, 'L', 'late', 'Late', teacher, 'EUR', 'en' FROM late"
    )
    found = scalar(
        root, "SELECT ROW(rating_sum, total_ratings, rating)::text FROM courses WHERE slug = 'late'"
    )
    assert found == "(12,3,4.00)"
