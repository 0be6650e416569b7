"""Lessons that come and go while people enroll and study: two connections each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select, text

from elearning.crud import enroll_user, mark_lesson_complete
from elearning.errors import LessonNotFound
from elearning.ids import new_id
from elearning.models import LessonProgress
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound
from tests.models.running import Running, make_running, miscounted
from tests.models.support import pid_of, stops_another, until

pytestmark = pytest.mark.unmeasured


@pytest.fixture
def running(session: RoutingSession) -> Running:
    made = make_running(session, 2)
    session.commit()
    return made


@pytest.fixture
def watch(engines: Engines) -> Iterator[Connection]:
    with engines.primary("eu").engine.connect() as connection:
        yield connection


@contextmanager
def meanwhile(
    running: Running, engines: Engines, watch: Connection, work: Callable[[Running], Any]
) -> Iterator[Future[Any]]:
    """Start what must wait for the open transaction of `running`, in one of its own.

    The body runs while it waits; it ends that transaction.
    """

    def other() -> Any:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            return work(Running(own, running.course_id, running.module_id, [*running.lessons]))

    pid = pid_of(running.session.connection())
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(other)
        try:
            until(lambda: future.done() or stops_another(watch, pid))
            assert not future.done(), "it did not wait"
            yield future
        finally:
            running.session.rollback()  # lets the other go on, whatever failed


def add_lesson(running: Running) -> UUID:
    return running.add_lesson()


def test_who_enrolls_while_a_lesson_is_added(
    running: Running, engines: Engines, watch: Connection
) -> None:
    running.add_lesson()
    with meanwhile(running, engines, watch, Running.enroll) as other:
        running.session.commit()
        assert running.shown(other.result()) == "0/3 0.00 active"


def test_who_enrolls_while_a_lesson_is_not_added_after_all(
    running: Running, engines: Engines, watch: Connection
) -> None:
    running.add_lesson()
    with meanwhile(running, engines, watch, Running.enroll) as other:
        running.session.rollback()
        assert running.shown(other.result()) == "0/2 0.00 active"


def test_a_lesson_that_is_added_while_somebody_enrolls(
    running: Running, engines: Engines, watch: Connection
) -> None:
    enrollment_id = running.enroll()
    with meanwhile(running, engines, watch, add_lesson) as other:
        running.session.commit()
        other.result()
        assert running.shown(enrollment_id) == "0/3 0.00 active"


def test_lessons_that_are_added_at_once(
    running: Running, engines: Engines, watch: Connection
) -> None:
    enrollment_id = running.enroll()
    running.session.commit()
    running.add_lesson()

    def another(own: Running) -> UUID:
        return own.add_lesson(position=50)

    with meanwhile(running, engines, watch, another) as other:
        running.session.commit()
        other.result()
        assert running.shown(enrollment_id) == "0/4 0.00 active"


def test_a_lesson_that_is_archived_while_it_is_completed(
    running: Running, engines: Engines, watch: Connection
) -> None:
    lesson = running.lessons[0]
    enrollment_id = running.enroll()
    running.session.commit()
    mark_lesson_complete(running.session, enrollment_id, lesson)
    with meanwhile(running, engines, watch, lambda own: own.archive(lesson)) as other:
        running.session.commit()
        other.result()
        assert running.shown(enrollment_id) == "0/1 0.00 active"


def test_a_lesson_that_is_completed_while_it_is_archived(
    running: Running, engines: Engines, watch: Connection
) -> None:
    lesson = running.lessons[0]
    enrollment_id = running.enroll()
    running.session.commit()
    running.archive(lesson)

    def complete(own: Running) -> None:
        mark_lesson_complete(own.session, enrollment_id, lesson)

    with meanwhile(running, engines, watch, complete) as other:
        running.session.commit()
        other.result()
        assert running.shown(enrollment_id) == "0/1 0.00 active"
    # What was done in it is not lost.
    running.archive(lesson, archived=False)
    assert running.shown(enrollment_id) == "1/2 50.00 active"


def test_archiving_and_completing_do_not_deadlock(running: Running, engines: Engines) -> None:
    enrollments = [running.enroll() for _ in range(3)]
    running.session.commit()

    def archive() -> None:
        with RoutingSession(engines=engines, region="europe") as own:
            mine = Running(own, running.course_id, running.module_id)
            for number in range(40):
                mine.archive(running.lessons[0], archived=number % 2 == 0)
                own.commit()

    def study(enrollment_id: UUID) -> None:
        with RoutingSession(engines=engines, region="europe") as own:
            mine = Running(own, running.course_id, running.module_id)
            for number in range(40):
                lesson = running.lessons[number % 2]
                mark_lesson_complete(own, enrollment_id, lesson)
                if number % 3 == 0:
                    mine.undo(enrollment_id, lesson)
                own.commit()

    with ThreadPoolExecutor(4) as threads:
        work = [threads.submit(archive), *(threads.submit(study, one) for one in enrollments)]
    for each in work:
        each.result()
    for enrollment_id in enrollments:
        # Lesson 0 is back, and was completed last by step 38, lesson 1 un-completed by step 39.
        assert running.shown(enrollment_id) == "1/2 50.00 active"


def test_a_lesson_that_is_only_edited_waits_for_nobody(running: Running, engines: Engines) -> None:
    lesson = running.lessons[0]
    running.archive(lesson)
    running.session.commit()
    running.enroll()  # holds the course until it ends
    with RoutingSession(engines=engines, region="europe") as own, own.begin():
        own.execute(text("SET LOCAL lock_timeout = '5s'"))
        own.execute(text("UPDATE course_lessons SET title = 'New', archived_at = archived_at"))
        Running(own, running.course_id, running.module_id).archive(lesson)


@pytest.mark.parametrize("archived", [True, False])
def test_refuse_foreign_lesson_that_is_being_archived(
    running: Running, engines: Engines, watch: Connection, archived: bool
) -> None:
    lesson = running.lessons[0]
    enrollment_id = running.enroll()
    running.session.execute(text("DELETE FROM lesson_progress WHERE lesson_id = :l"), {"l": lesson})
    running.session.commit()

    def add(own: Running) -> None:
        own.session.execute(
            text(
                "INSERT INTO lesson_progress (id, enrollment_id, lesson_id) "
                "VALUES (new_id(3), :enrollment, :lesson)"
            ),
            {"enrollment": enrollment_id, "lesson": lesson},
        )

    running.archive(lesson)
    with meanwhile(running, engines, watch, add) as other:
        if archived:
            running.session.commit()
            with pytest.raises(LessonNotFound, match=f"has no lesson {lesson}"):
                other.result()
        else:
            running.session.rollback()
            other.result()
        assert running.shown(enrollment_id) == ("0/1" if archived else "0/2") + " 0.00 active"


def test_a_module_and_its_lesson_that_are_copied_side_by_side(
    running: Running, root_engines: Engines, watch: Connection
) -> None:
    running.enroll()
    running.session.commit()
    module_id = new_id("europe")

    def copy(connection: Connection, table: str, columns: str, values: str) -> None:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({values})")

    def copy_module() -> None:
        with root_engines.primary("eu").engine.begin() as connection:
            values = f"'{module_id}', '{running.course_id}', 90, 'M'"
            copy(connection, "course_modules", "id, course_id, position, title", values)

    # As the first copy of a subscription does, by a worker for each table.
    with root_engines.primary("eu").engine.begin() as first, ThreadPoolExecutor(1) as thread:
        values = f"new_id(3), '{module_id}', 1, 'L', 'quiz'"
        copy(first, "course_lessons", "id, module_id, position, title, lesson_type", values)
        pid = pid_of(first)
        other = thread.submit(copy_module)
        until(lambda: other.done() or stops_another(watch, pid))
        first.commit()
        other.result()
    assert miscounted(running.session) == []


def test_many_enroll_while_lessons_come_and_go(running: Running, engines: Engines) -> None:
    with bound(running.session):
        users = [user.id for user in UserFactory.create_batch(12)]
    running.session.commit()

    def take(user_id: UUID) -> None:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            enroll_user(own, user_id, running.course_id)

    def change(number: int) -> None:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            mine = Running(own, running.course_id, running.module_id)
            added = mine.add_lesson(position=100 + number)
            if number % 3 == 0:
                mine.archive(added)

    with ThreadPoolExecutor(8) as threads:
        work = [threads.submit(take, user_id) for user_id in users]
        work += [threads.submit(change, number) for number in range(9)]
    for each in work:
        each.result()
    assert miscounted(running.session) == []
    enrolled = running.session.scalars(select(LessonProgress.enrollment_id).distinct()).all()
    assert len(enrolled) == 12
    assert {running.shown(enrollment_id) for enrollment_id in enrolled} == {"0/8 0.00 active"}
