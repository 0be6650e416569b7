"""A course carries its instructor's name, for shards that know nothing of the instructor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import Connection, text, update

from elearning.cluster.embedded.processes import wait_until
from elearning.models import Course, User
from elearning.routing import Engines, RoutingSession
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


def test_a_name_that_is_being_changed_is_waited_for(
    engines: Engines, empty_databases: None
) -> None:
    assert empty_databases is None
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        teacher = InstructorFactory.create(first_name="Old", last_name="Name").id
        session.commit()
    with (
        ThreadPoolExecutor(1) as thread,
        RoutingSession(engines=engines, region="europe") as renaming,
        RoutingSession(engines=engines, region="europe") as teaching,
    ):
        renaming.execute(update(User).where(User.id == teacher).values(first_name="New"))
        pid = teaching.scalar(text("SELECT pg_backend_pid()"))

        def add() -> UUID:
            with bound(teaching):
                course = CourseFactory.create(instructor=teaching.get_one(User, teacher))
                course_id: UUID = course.id
            teaching.commit()
            return course_id

        added = thread.submit(add)
        blocked = text("SELECT cardinality(pg_blocking_pids(:pid)) > 0")
        assert wait_until(lambda: bool(renaming.scalar(blocked, {"pid": pid})), 10)
        renaming.commit()
        course_id = added.result(10)
    with RoutingSession(engines=engines, region="europe", consistency="primary") as session:
        assert session.get_one(Course, course_id).instructor_name == "New Name"
