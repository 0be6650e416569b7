"""A course carries its instructor's name, for shards that know nothing of the instructor."""

from __future__ import annotations

from sqlalchemy import Connection, text

from elearning.routing import RoutingSession
from elearning.testing.factories import CourseFactory, InstructorFactory, bound
from tests.models.support import scalar
from tests.models.world import World


def test_keep_instructor_name(session: RoutingSession) -> None:
    with bound(session):
        teacher = InstructorFactory.create(first_name="Ada", last_name="Lovelace")
        other = InstructorFactory.create(first_name="Alan", last_name="Turing")
        course = CourseFactory.create(instructor=teacher)
        others = CourseFactory.create(instructor=other)
    assert (course.instructor_name, others.instructor_name) == ("Ada Lovelace", "Alan Turing")
    course.title = "Another title"
    session.flush()
    assert course.instructor_name == "Ada Lovelace"
    course.instructor = other
    session.flush()
    assert course.instructor_name == "Alan Turing"

    before = others.updated_at
    session.commit()
    other.last_name = "T."
    session.commit()
    assert (course.instructor_name, others.instructor_name) == ("Alan T.", "Alan T.")
    # What is copied tells when it changed.
    assert others.updated_at > before
    course.instructor = teacher
    session.flush()
    assert course.instructor_name == "Ada Lovelace"


def test_keep_instructor_name_changes_nothing_else(session: RoutingSession) -> None:
    with bound(session):
        course = CourseFactory.create()
    session.commit()
    version = text("SELECT xmin::text FROM courses")
    before = session.scalar(version)
    session.execute(
        text("UPDATE users SET first_name = first_name, last_login = now() WHERE id = :id"),
        {"id": course.instructor_id},
    )
    assert session.scalar(version) == before


def test_keep_instructor_name_of_a_copied_course(root: Connection, world: World) -> None:
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")
    columns = "course_code, slug, title, instructor_id, instructor_name, currency, language"
    name = scalar(
        root,
        f"INSERT INTO courses (id, {columns}) "
        "SELECT new_id(5), 'C', 'copied', 'Copied', new_id(5), 'Grace Hopper', 'EUR', 'en' "
        "RETURNING instructor_name",
    )
    assert name == "Grace Hopper"
