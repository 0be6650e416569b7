"""A lesson that joins or leaves a running course does so for everybody who takes it."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text, update

from elearning.crud import enroll_user, mark_lesson_complete
from elearning.errors import FixedColumn, IsolationTooHigh, LessonNotFound
from elearning.ids import region_of
from elearning.models import (
    CourseLesson,
    CourseModule,
    Enrollment,
    EnrollmentStatus,
    LessonProgress,
    LessonType,
)
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseModuleFactory, bound
from tests.models.running import Running, make_running, miscounted

DROPPED = EnrollmentStatus.DROPPED
EXPIRED = EnrollmentStatus.EXPIRED


@pytest.fixture
def running(session: RoutingSession) -> Running:
    return make_running(session, 2)


def test_update_enrolled_lessons_adds_a_lesson_for_everybody(running: Running) -> None:
    first, second = running.lessons
    active = running.enroll(first)
    completed = running.enroll(first, second)
    dropped = running.enroll(first, status=DROPPED)
    expired = running.enroll(status=EXPIRED)
    since = running.counts(completed).completion_date
    added = running.add_lesson()
    assert running.shown(active) == "1/3 33.33 active"
    assert running.shown(completed) == "2/3 66.67 completed"
    assert running.shown(dropped) == "1/3 33.33 dropped"
    assert running.shown(expired) == "0/3 0.00 expired"
    assert running.counts(completed).completion_date == since
    rows = running.session.scalars(
        select(LessonProgress).where(LessonProgress.lesson_id == added)
    ).all()
    assert {row.enrollment_id for row in rows} == {active, completed, dropped, expired}
    assert {region_of(row.id) for row in rows} == {Region.EUROPE}
    mark_lesson_complete(running.session, completed, added)
    assert running.shown(completed) == "3/3 100.00 completed"


def test_update_enrolled_lessons_of_a_lesson_that_comes_archived(running: Running) -> None:
    active = running.enroll(running.lessons[0])
    added = running.add_lesson(archived_at=text("now()"))
    assert running.shown(active) == "1/2 50.00 active"
    running.archive(added, archived=False)
    assert running.shown(active) == "1/3 33.33 active"


def test_update_enrolled_lessons_archives_an_open_lesson(running: Running) -> None:
    first, second = running.lessons
    third = running.add_lesson()
    active = running.enroll(first)
    completed = running.enroll(first, second, third)
    running.archive(third)
    assert running.shown(active) == "1/2 50.00 active"
    assert running.shown(completed) == "2/2 100.00 completed"
    running.archive(third, archived=False)
    assert running.shown(active) == "1/3 33.33 active"
    # What was done in it counts again.
    assert running.shown(completed) == "3/3 100.00 completed"


def test_update_enrolled_lessons_archives_a_completed_lesson(running: Running) -> None:
    first, second = running.lessons
    active = running.enroll(first)
    completed = running.enroll(first, second)
    running.add_lesson()
    running.archive(first)
    assert running.shown(active) == "0/2 0.00 active"
    assert running.shown(completed) == "1/2 50.00 completed"
    running.undo(completed, second)
    assert running.shown(completed) == "0/2 0.00 active"
    running.archive(first, archived=False)
    assert running.shown(active) == "1/3 33.33 active"


def test_update_enrolled_lessons_completes_with_the_last_open_lesson(running: Running) -> None:
    first, second = running.lessons
    active = running.enroll(first)
    dropped = running.enroll(first, status=DROPPED)
    running.archive(second)
    assert running.shown(active) == "1/1 100.00 completed"
    assert running.shown(dropped) == "1/1 100.00 dropped"
    # It stays so when the lesson comes back.
    running.archive(second, archived=False)
    assert running.shown(active) == "1/2 50.00 completed"


def test_update_enrolled_lessons_of_the_only_lesson_completes_nothing(running: Running) -> None:
    first, second = running.lessons
    active = running.enroll(first)
    running.session.execute(update(CourseLesson).values(archived_at=text("now()")))
    # In one statement, one lesson after the other: the open one may have been the last.
    assert running.counts(active).total == 0
    assert running.counts(active).percentage == 0
    untouched = running.enroll()
    assert running.shown(untouched) == "0/0 0.00 active"
    running.archive(second, archived=False)
    assert running.shown(untouched) == "0/1 0.00 active"


def test_who_enrolls_while_a_lesson_is_archived_gets_it_later(running: Running) -> None:
    second = running.lessons[1]
    running.archive(second)
    late = running.enroll()
    assert running.shown(late) == "0/1 0.00 active"
    with pytest.raises(LessonNotFound):
        mark_lesson_complete(running.session, late, second)
    running.archive(second, archived=False)
    assert running.shown(late) == "0/2 0.00 active"


def test_who_comes_back_with_nothing_left_to_do_is_done(running: Running) -> None:
    first, second = running.lessons
    dropped = running.enroll(first, status=DROPPED)
    running.archive(second)
    user_id = running.session.scalar(select(Enrollment.user_id))
    assert user_id is not None
    enroll_user(running.session, user_id, running.course_id)
    assert running.shown(dropped) == "1/1 100.00 completed"


def test_update_enrolled_lessons_changes_nothing_else(running: Running) -> None:
    first, second = running.lessons
    running.enroll(first)
    running.archive(second)
    running.session.commit()
    versions = text(
        "SELECT xmin::text FROM enrollments UNION ALL SELECT xmin::text "
        "FROM lesson_progress ORDER BY 1"
    )
    before = running.session.scalars(versions).all()
    for values in ({"title": "New"}, {"archived_at": text("now()")}, {"position": 9}):
        running.session.execute(
            update(CourseLesson).where(CourseLesson.id == second).values(values)
        )
    assert running.session.scalars(versions).all() == before


def test_update_enrolled_lessons_lets_no_lesson_change_its_course(
    running: Running, root_engines: Engines
) -> None:
    lesson = running.lessons[0]
    active = running.enroll(lesson)
    same = CourseModule(course_id=running.course_id, position=99, title="M")
    running.session.add(same)
    with bound(running.session):
        other = CourseModuleFactory.create()
    running.session.commit()
    move = update(CourseLesson).where(CourseLesson.id == lesson)
    running.session.execute(move.values(module_id=same.id))
    assert running.shown(active) == "1/2 50.00 active"
    running.session.execute(move.values(module_id=running.module_id, archived_at=text("now()")))
    assert running.shown(active) == "0/1 0.00 active"
    running.session.commit()
    with root_engines.primary("eu").engine.connect() as root:
        for away in ({"module_id": other.id}, {"module_id": other.id, "archived_at": None}):
            with pytest.raises(FixedColumn, match=f"the course of course_lessons {lesson}"):
                root.execute(move.values(away))
            root.rollback()


def test_require_read_committed_stops_no_replication(
    running: Running, root_engines: Engines
) -> None:
    running.enroll()
    running.session.commit()
    engine = root_engines.primary("eu").engine
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as root:
        archive = text("UPDATE course_lessons SET archived_at = now()")
        with pytest.raises(IsolationTooHigh):
            root.execute(archive)
        root.rollback()
        root.execute(text("SET LOCAL session_replication_role = replica"))
        root.execute(archive)
        root.commit()
    assert miscounted(running.session) == []


def test_a_lesson_that_is_flushed_makes_nothing_stale(running: Running) -> None:
    session = running.session
    enrollment = session.get_one(Enrollment, running.enroll(running.lessons[0]))
    assert enrollment.total_lessons == 2
    lesson = CourseLesson(
        module_id=running.module_id, position=9, title="L", lesson_type=LessonType.VIDEO
    )
    session.add(lesson)
    session.flush()
    # The trigger changed the enrollment's xmin behind the session's back.
    enrollment.certificate_url = "https://example.org/1"
    session.commit()
    assert (enrollment.completed_lessons, enrollment.total_lessons) == (1, 3)
    lesson.archived_at = text("now()")  # type: ignore[assignment]
    session.flush()
    assert enrollment.total_lessons == 2


def test_refuse_foreign_lesson_of_another_course(running: Running) -> None:
    other = make_running(running.session, 1)
    enrollment_id = running.enroll()
    add = text(
        "INSERT INTO lesson_progress (id, enrollment_id, lesson_id) "
        "SELECT new_id(3), :enrollment, id FROM course_lessons WHERE id = ANY (:lessons)"
    )
    forget = text("DELETE FROM lesson_progress WHERE enrollment_id = :enrollment")
    running.session.execute(forget, {"enrollment": enrollment_id})
    # One of another course among those of its own.
    lessons = [*running.lessons, *other.lessons]
    with pytest.raises(LessonNotFound, match=str(other.lessons[0])), running.session.begin_nested():
        running.session.execute(add, {"enrollment": enrollment_id, "lessons": lessons})
    running.session.execute(add, {"enrollment": enrollment_id, "lessons": running.lessons})
    assert running.shown(enrollment_id) == "0/2 0.00 active"


def test_refuse_foreign_lesson_that_is_archived(running: Running) -> None:
    enrollment_id = running.enroll()
    lesson = running.lessons[0]
    one = {"enrollment": enrollment_id, "lesson": lesson}
    row = "WHERE enrollment_id = :enrollment AND lesson_id = :lesson"
    running.session.execute(text(f"DELETE FROM lesson_progress {row}"), one)
    running.archive(lesson)
    with pytest.raises(LessonNotFound, match=f"{enrollment_id} has no lesson {lesson}"):
        running.session.execute(
            text(
                "INSERT INTO lesson_progress (id, enrollment_id, lesson_id) "
                "VALUES (new_id(3), :enrollment, :lesson)"
            ),
            one,
        )
