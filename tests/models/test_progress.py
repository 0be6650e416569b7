"""The counters of an enrollment follow the progress in its lessons."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Connection, Row, func, select, text, true, update
from sqlalchemy.exc import DBAPIError

from elearning.config import Settings
from elearning.crud import mark_lesson_complete, mark_lesson_open
from elearning.models import Enrollment, EnrollmentStatus, LessonProgress
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseLessonFactory,
    CourseModuleFactory,
    EnrollmentFactory,
    LessonProgressFactory,
    UserFactory,
    bound,
)
from tests.models.running import Running, make_running
from tests.models.support import scalar
from tests.models.world import World, insert_copy
from tests.snapshots import connect

DONE = {"completed": True, "completion_date": func.now()}
CONNECTIONS = 16


def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CONNECTIONS)


def enrollment_with_lessons(session: RoutingSession, lessons: int) -> tuple[UUID, list[UUID]]:
    with bound(session):
        module = CourseModuleFactory.create()
        rows = CourseLessonFactory.create_batch(lessons, module=module)
        user = UserFactory.create()
        enrollment_id = session.scalar(select(func.enroll_user(user.id, module.course.id)))
    session.commit()
    assert isinstance(enrollment_id, UUID)
    return enrollment_id, [row.id for row in rows]


def progress(session: RoutingSession, enrollment_id: UUID) -> Row[Decimal, EnrollmentStatus]:
    return session.execute(
        select(Enrollment.progress_percentage, Enrollment.status).where(
            Enrollment.id == enrollment_id
        )
    ).one()


def test_update_enrollment_progress_insert(session: RoutingSession) -> None:
    enrollment_id, _ = enrollment_with_lessons(session, 3)
    enrollment = session.get_one(Enrollment, enrollment_id)
    assert (enrollment.total_lessons, enrollment.completed_lessons) == (3, 0)
    assert progress(session, enrollment_id) == (Decimal(0), EnrollmentStatus.ACTIVE)


def test_update_enrollment_progress_update(session: RoutingSession) -> None:
    enrollment_id, lessons = enrollment_with_lessons(session, 3)
    seen = []
    for lesson in lessons:
        session.execute(
            update(LessonProgress)
            .where(
                LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson
            )
            .values(DONE)
        )
        seen.append(progress(session, enrollment_id))
    assert seen == [
        (Decimal("33.33"), EnrollmentStatus.ACTIVE),
        (Decimal("66.67"), EnrollmentStatus.ACTIVE),
        (Decimal("100.00"), EnrollmentStatus.COMPLETED),
    ]
    assert session.scalar(select(Enrollment.completion_date).where(Enrollment.id == enrollment_id))


def test_update_enrollment_progress_update_takes_a_completion_back(
    session: RoutingSession,
) -> None:
    enrollment_id, lessons = enrollment_with_lessons(session, 2)
    mine = update(LessonProgress).where(LessonProgress.enrollment_id == enrollment_id)
    session.execute(mine.values(DONE))
    assert progress(session, enrollment_id) == (Decimal(100), EnrollmentStatus.COMPLETED)
    session.execute(
        mine.where(LessonProgress.lesson_id == lessons[0]).values(
            completed=False, completion_date=None
        )
    )
    assert progress(session, enrollment_id) == (Decimal(50), EnrollmentStatus.ACTIVE)
    assert (
        session.scalar(select(Enrollment.completion_date).where(Enrollment.id == enrollment_id))
        is None
    )


def test_update_enrollment_progress_update_leaves_others_alone(session: RoutingSession) -> None:
    enrollment_id, _ = enrollment_with_lessons(session, 2)
    other_id, _ = enrollment_with_lessons(session, 2)
    version = select(Enrollment.row_version).where(Enrollment.id == enrollment_id)
    before = session.scalar(version.with_for_update(read=True))
    mine = update(LessonProgress).where(LessonProgress.enrollment_id == enrollment_id)
    session.execute(mine.values(time_spent=60))  # touches no counter
    session.execute(
        update(LessonProgress).where(LessonProgress.enrollment_id == other_id).values(DONE)
    )
    assert session.scalar(version) == before


def test_update_enrollment_progress_delete(session: RoutingSession) -> None:
    enrollment_id, lessons = enrollment_with_lessons(session, 4)
    rows = "FROM lesson_progress WHERE enrollment_id = :e AND lesson_id = :l"
    session.execute(
        update(LessonProgress).where(LessonProgress.lesson_id == lessons[0]).values(DONE)
    )
    session.execute(text(f"DELETE {rows}"), {"e": enrollment_id, "l": lessons[1]})
    enrollment = session.get_one(Enrollment, enrollment_id)
    assert (enrollment.total_lessons, enrollment.completed_lessons) == (3, 1)
    # Deleting the enrollment takes its progress along, and counts nothing.
    session.delete(enrollment)
    session.flush()
    assert session.scalar(select(func.count()).select_from(LessonProgress)) == 0


def test_update_enrollment_progress_delete_completes_nothing(session: RoutingSession) -> None:
    running = make_running(session, 2)
    enrollment_id = running.enroll(running.lessons[0])
    forget = text("DELETE FROM lesson_progress WHERE NOT completed")
    session.execute(forget)
    counts = running.counts(enrollment_id)
    assert (counts.completed, counts.total, counts.status) == (1, 1, EnrollmentStatus.ACTIVE)


def test_a_completion_is_not_before_its_enrollment(session: RoutingSession) -> None:
    running = make_running(session, 1)
    enrollment_id = running.enroll()
    # By a clock that is ahead of the database's.
    session.execute(update(Enrollment).values(enrollment_date=text("now() + interval '1 hour'")))
    mark_lesson_complete(session, enrollment_id, running.lessons[0])
    assert running.shown(enrollment_id) == "1/1 100.00 completed"


def test_update_enrollment_progress_counts_no_archived_lesson(
    root: Connection, world: World
) -> None:
    counters = (
        "SELECT completed_lessons || '/' || total_lessons FROM enrollments "
        f"WHERE id = '{world.other_enrollment}'"
    )
    done = {"completed": True, "completion_date": "2026-02-01"}
    with root.begin_nested() as counted:
        insert_copy(root, world, "lesson_progress", **done)
        assert scalar(root, counters) == "1/1"
        counted.rollback()
    insert_copy(root, world, "lesson_progress", **done, archived=True)
    assert scalar(root, counters) == "0/0"
    root.exec_driver_sql("DELETE FROM lesson_progress WHERE archived")
    assert scalar(root, counters) == "0/0"


def test_progress_stays_below_100_until_the_last_lesson(
    session: RoutingSession, settings: Settings
) -> None:
    with bound(session):
        enrollment = EnrollmentFactory.create()
    session.commit()
    # Nobody but the owner writes counters.
    with connect(settings.shard("eu").owner_url) as owner:
        owner.execute("UPDATE enrollments SET total_lessons = 30000, completed_lessons = 29999")
    session.refresh(enrollment, with_for_update=True)
    assert enrollment.progress_percentage == Decimal("99.99")


def test_concurrent_completions_lose_no_count(session: RoutingSession, settings: Settings) -> None:
    running = make_running(session, 2 * CONNECTIONS + 4)
    enrollment_id = running.enroll()
    session.commit()
    shared = running.lessons[-4:]
    start = Barrier(CONNECTIONS)

    def study(number: int) -> None:
        kept, undone = running.lessons[2 * number : 2 * number + 2]
        with RoutingSession(engines=engines, region="europe") as own:
            mine = Running(own, running.course_id, running.module_id)
            own.connection()
            start.wait(timeout=20)
            for lesson in (kept, *shared, undone):
                mark_lesson_complete(own, enrollment_id, lesson)
                own.commit()
            # Shared ones too, which others complete meanwhile; whoever is last leaves them so.
            for lesson in (undone, *shared, kept):
                mark_lesson_open(own, enrollment_id, lesson)
                own.commit()
            mine.undo(enrollment_id, kept)
            for lesson in shared:
                mark_lesson_complete(own, enrollment_id, lesson)
                own.commit()
            own.execute(
                update(LessonProgress)
                .where(
                    LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == kept
                )
                .values(DONE)
            )
            own.commit()

    with (
        Engines(settings, pool_size=CONNECTIONS) as engines,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        list(pool.map(study, range(CONNECTIONS)))
    assert running.shown(enrollment_id) == "20/36 55.56 active"


def test_the_last_lessons_completed_at_once(session: RoutingSession, settings: Settings) -> None:
    running = make_running(session, CONNECTIONS)
    enrollment_id = running.enroll()
    session.commit()
    start = Barrier(CONNECTIONS)

    def complete(lesson: UUID) -> EnrollmentStatus:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            own.connection()
            start.wait(timeout=20)
            return mark_lesson_complete(own, enrollment_id, lesson).status

    with (
        Engines(settings, pool_size=CONNECTIONS) as engines,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        seen = list(pool.map(complete, running.lessons))
    # Whoever was last completed the course.
    assert sorted(seen) == ["active"] * (CONNECTIONS - 1) + ["completed"]
    assert running.shown(enrollment_id) == "16/16 100.00 completed"


def test_a_flush_that_a_trigger_follows_makes_nothing_stale(session: RoutingSession) -> None:
    with bound(session):
        row = LessonProgressFactory.create()
        enrollment = row.enrollment
        assert enrollment.total_lessons == 1
        row.completed = True
        row.completion_date = func.now()
        session.flush()
        # The trigger changed the enrollment's xmin behind the session's back.
        enrollment.certificate_url = "https://example.org/1"
        session.commit()
    assert enrollment.status is EnrollmentStatus.COMPLETED


def test_a_lesson_cannot_be_done_without_a_date(session: RoutingSession) -> None:
    enrollment_id, _ = enrollment_with_lessons(session, 1)
    with pytest.raises(DBAPIError, match="ck_lesson_progress_completion_date"):
        session.execute(
            update(LessonProgress)
            .where(LessonProgress.enrollment_id == enrollment_id)
            .values(completed=true())
        )
