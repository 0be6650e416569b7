"""One test for each trigger, named after it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from psycopg import DatabaseError
from sqlalchemy import Row, func, insert, select, text, true, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError

from elearning.config import Settings
from elearning.errors import MisroutedRow
from elearning.ids import new_id
from elearning.models import (
    Course,
    CourseCategory,
    Enrollment,
    EnrollmentStatus,
    LessonProgress,
    User,
)
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    CourseReviewFactory,
    EnrollmentFactory,
    LessonProgressFactory,
    UserFactory,
    bound,
)
from tests.snapshots import connect

COLUMNS = "users (id, region, email, first_name, last_name)"
DONE = {"completed": True, "completion_date": func.now()}


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


def test_update_modified_timestamp(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create()
    session.commit()
    before = user.updated_at
    # Past our own code: whoever writes, the time is kept.
    session.execute(
        text("UPDATE users SET first_name = 'X', updated_at = 'epoch' WHERE id = :id"),
        {"id": user.id},
    )
    session.commit()
    assert session.get_one(User, user.id).updated_at > before
    assert user.created_at <= before


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO {COLUMNS} VALUES ('{{stranger}}', 'asia', 'x@example.com', 'X', 'Y')",
        f"INSERT INTO {COLUMNS} SELECT '{{stranger}}', 'asia', 'x@x.org', 'X', 'Y' FROM pg_class",
        "UPDATE users SET id = '{stranger}', region = 'asia'",
    ],
    ids=["insert", "bulk", "update"],
)
def test_refuse_misrouted_row(session: RoutingSession, statement: str) -> None:
    with bound(session):
        UserFactory.create()
    session.commit()
    with pytest.raises(MisroutedRow, match="users belongs to region code 5"):
        session.connection().exec_driver_sql(statement.format(stranger=new_id("asia")))
    session.rollback()
    assert session.scalars(select(User.region)).all() == ["europe"]


def test_refuse_misrouted_row_in_copy(settings: Settings, empty_databases: None) -> None:
    with connect(settings.shard("eu").primary) as connection:
        cursor = connection.cursor()
        copy = cursor.copy(f"COPY {COLUMNS} FROM STDIN")
        with pytest.raises(DatabaseError, match="does not belong on this shard"), copy as rows:
            rows.write_row([new_id("asia"), "asia", "x@example.com", "X", "Y"])
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_refuse_misrouted_row_refuses_a_uuid_without_region(session: RoutingSession) -> None:
    # Byte 7 may look like a hosted region by chance: the version tells.
    lookalike = UUID(bytes=uuid4().bytes[:7] + b"\x03" + uuid4().bytes[8:], version=4)
    with pytest.raises(MisroutedRow, match="this shard does not host"):
        session.execute(
            insert(CourseCategory), {"id": lookalike, "slug": "x", "category_name": "x"}
        )


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


def test_progress_stays_below_100_until_the_last_lesson(session: RoutingSession) -> None:
    with bound(session):
        enrollment = EnrollmentFactory.create()
    session.execute(text("UPDATE enrollments SET total_lessons = 30000, completed_lessons = 29999"))
    session.expire(enrollment)
    assert enrollment.progress_percentage == Decimal("99.99")


def test_concurrent_completions_lose_no_count(session: RoutingSession, engines: Engines) -> None:
    enrollment_id, lessons = enrollment_with_lessons(session, 40)

    def complete(lesson: UUID) -> None:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            own.execute(
                update(LessonProgress)
                .where(
                    LessonProgress.enrollment_id == enrollment_id,
                    LessonProgress.lesson_id == lesson,
                )
                .values(DONE)
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(complete, lessons))
    session.expire_all()
    with RoutingSession(engines=engines, region="europe", consistency="primary") as fresh:
        assert progress(fresh, enrollment_id) == (Decimal(100), EnrollmentStatus.COMPLETED)


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_update_course_rating(session: RoutingSession, event: str) -> None:
    with bound(session):
        course = CourseFactory.create()
        reviews = [
            CourseReviewFactory.create(enrollment__course=course, rating=rating)
            for rating in (5, 2, 3)
        ]
    expected = {"insert": Decimal("3.33"), "update": Decimal("2.00"), "delete": Decimal("2.50")}
    if event == "update":
        reviews[0].rating = 1
    if event == "delete":
        session.delete(reviews[0])
    session.flush()
    assert course.rating == expected[event]
    assert course.total_ratings == (2 if event == "delete" else 3)
    if event == "delete":
        for review in reviews[1:]:
            session.delete(review)
        session.flush()
        session.expire(course)
        assert course.rating is None


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


@pytest.mark.parametrize("model", [User, Course])
def test_a_stale_write_is_refused(
    session: RoutingSession, engines: Engines, model: type[User | Course]
) -> None:
    with bound(session):
        row_id = (UserFactory if model is User else CourseFactory).create().id
    session.commit()
    mine = session.get_one(model, row_id)
    field = "first_name" if model is User else "title"
    assert getattr(mine, field)
    with RoutingSession(engines=engines, region="europe", token=session.token) as other:
        setattr(other.get_one(model, row_id), field, "Other")
        other.commit()
    setattr(mine, field, "Mine")
    with pytest.raises(StaleDataError):
        session.commit()
    session.rollback()


def test_a_lesson_cannot_be_done_without_a_date(session: RoutingSession) -> None:
    enrollment_id, _ = enrollment_with_lessons(session, 1)
    with pytest.raises(DBAPIError, match="ck_lesson_progress_completion_date"):
        session.execute(
            update(LessonProgress)
            .where(LessonProgress.enrollment_id == enrollment_id)
            .values(completed=true())
        )
