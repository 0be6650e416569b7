"""What statistics add up is counted by triggers, as plain SQL over the tables counts it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import insert, select, text, update

from elearning.crud import (
    cancel_enrollment,
    complete_refund,
    complete_transaction,
    create_refund,
    enroll_user,
    fail_transaction,
    mark_lesson_complete,
    mark_lesson_open,
)
from elearning.ids import new_id
from elearning.models import (
    Course,
    CourseMonth,
    CourseRevenue,
    CourseStatus,
    Enrollment,
    Transaction,
    User,
    UserStatus,
    UserType,
)
from elearning.routing import RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseReviewFactory,
    EnrollmentFactory,
    TransactionFactory,
    UserFactory,
    bound,
)
from tests.models.counted import counters, differences
from tests.models.running import make_running

EUROPE = 3


def months(session: RoutingSession, course_id: UUID) -> list[tuple[str, int, int, int, int]]:
    """Return the funnel of a course by month, once all counters agree with the tables."""
    assert differences(session) == []
    m = CourseMonth
    rows = session.execute(
        select(m.month, m.enrolled, m.started, m.completed, m.ended)
        .where(m.course_id == course_id)
        .order_by(m.month)
    )
    return [(f"{row[0]:%Y-%m}", row[1], row[2], row[3], row[4]) for row in rows]


def revenue(session: RoutingSession, course_id: UUID) -> list[tuple[str, int, int, int, int]]:
    """Return what was paid for a course, once all counters agree with the tables."""
    assert differences(session) == []
    r = CourseRevenue
    rows = session.execute(
        select(r.currency, r.payments, r.paid, r.refunds, r.refunded)
        .where(r.course_id == course_id)
        .order_by(r.currency, r.region_code)
    )
    return [tuple(row) for row in rows]  # type: ignore[misc]


def ago(session: RoutingSession, enrollment_id: UUID, began: str) -> None:
    session.execute(
        update(Enrollment)
        .where(Enrollment.id == enrollment_id)
        .values(enrollment_date=datetime.fromisoformat(began))
    )


# -- users ---------------------------------------------------------------------------------


def test_count_users(session: RoutingSession) -> None:
    with bound(session):
        users = UserFactory.create_batch(3)
        UserFactory.create(region="africa", user_type=UserType.INSTRUCTOR)
    assert counters(session, "users") == {"student active": 3, "instructor active": 1}
    users[0].status = UserStatus.SUSPENDED
    session.flush()
    assert counters(session, "users")["student suspended"] == 1
    session.execute(text("UPDATE users SET user_type = 'admin', status = 'inactive'"))
    assert counters(session, "users") == {"admin inactive": 4}
    assert differences(session) == []
    before = session.scalar(text("SELECT max(id) FROM platform_counters"))
    session.execute(text("UPDATE users SET last_login = now(), first_name = 'X'"))
    assert session.scalar(text("SELECT max(id) FROM platform_counters")) == before
    session.delete(users[1])
    session.flush()
    assert counters(session, "users") == {"admin inactive": 3}
    session.execute(text("DELETE FROM users"))
    assert counters(session, "users") == {}
    assert differences(session) == []


def test_count_users_of_an_account_that_had_everything(session: RoutingSession) -> None:
    # Enrollments, their progress and reviews go with the account.
    running = make_running(session, 2)
    first = running.enroll(running.lessons[0])
    running.enroll(*running.lessons)
    with bound(session):
        CourseReviewFactory.create(
            enrollment=session.get_one(Enrollment, first),
            course=session.get_one(Course, running.course_id),
            rating=2,
        )
        CourseReviewFactory.create(rating=5)
    assert counters(session, "reviews") == {"number": 2, "rating_sum": 7}
    session.execute(
        text("DELETE FROM users WHERE id = (SELECT user_id FROM enrollments WHERE id = :id)"),
        {"id": first},
    )
    assert counters(session, "reviews") == {"number": 1, "rating_sum": 5}
    assert counters(session, "enrollments") == {"enrolled": 2, "started": 1, "completed": 1}
    assert [row[1:] for row in months(session, running.course_id)] == [(1, 1, 1, 0)]


def test_what_is_undone_is_not_counted(session: RoutingSession) -> None:
    running = make_running(session, 1)
    session.commit()
    before = counters(session, "users")
    running.enroll(*running.lessons)
    assert counters(session, "enrollments")["completed"] == 1
    session.rollback()
    assert (counters(session, "users"), counters(session, "enrollments")) == (before, {})
    with session.begin_nested() as savepoint:
        running.enroll()
        savepoint.rollback()
    assert months(session, running.course_id) == []


# -- courses -------------------------------------------------------------------------------


def test_count_courses(session: RoutingSession) -> None:
    with bound(session):
        courses = CourseFactory.create_batch(2)
        CourseFactory.create(
            instructor__region="africa", status=CourseStatus.DRAFT, published_at=None
        )
    assert counters(session, "courses") == {"published": 2, "draft": 1}
    courses[0].status = CourseStatus.ARCHIVED
    courses[0].archived_at = datetime.now(UTC)
    session.flush()
    assert counters(session, "courses") == {"published": 1, "archived": 1, "draft": 1}
    assert differences(session) == []
    before = session.scalar(text("SELECT max(id) FROM platform_counters WHERE name = 'courses'"))
    with bound(session):
        CourseReviewFactory.create(enrollment__course=courses[1])
    session.execute(text("UPDATE courses SET price = 1"))
    after = session.scalar(text("SELECT max(id) FROM platform_counters WHERE name = 'courses'"))
    assert after == before


# -- enrollments ---------------------------------------------------------------------------


def test_update_course_statistics_by_month(session: RoutingSession) -> None:
    running = make_running(session, 2)
    old, new = running.enroll(running.lessons[0]), running.enroll()
    ago(session, old, "2024-03-31T23:30:00-02:00")  # in April, by UTC
    assert months(session, running.course_id)[0] == ("2024-04", 1, 1, 0, 0)
    mark_lesson_complete(session, old, running.lessons[1])
    assert months(session, running.course_id)[0] == ("2024-04", 1, 1, 1, 0)
    mark_lesson_open(session, old, running.lessons[0])
    mark_lesson_open(session, old, running.lessons[1])
    assert months(session, running.course_id)[0] == ("2024-04", 1, 0, 0, 0)
    cancel_enrollment(session, new)
    assert months(session, running.course_id)[1][1:] == (1, 0, 0, 1)


def test_update_course_statistics_of_who_comes_back(session: RoutingSession) -> None:
    # An enrollment is counted in the month in which it was last taken up.
    running = make_running(session, 2)
    enrollment = running.enroll(running.lessons[0])
    ago(session, enrollment, "2024-02-29T12:00:00+00:00")
    cancel_enrollment(session, enrollment)
    assert months(session, running.course_id)[0] == ("2024-02", 1, 1, 0, 1)
    user_id = session.scalars(select(Enrollment.user_id)).one()
    assert enroll_user(session, user_id, running.course_id) == enrollment
    found = months(session, running.course_id)
    assert found[0] == ("2024-02", 0, 0, 0, 0)
    assert found[-1][1:] == (1, 1, 0, 0)


def test_update_course_statistics_of_a_course_without_lessons(session: RoutingSession) -> None:
    # Who has completed a course has started it, whatever lessons say.
    with bound(session):
        enrollment = EnrollmentFactory.create()
    session.execute(
        text("UPDATE enrollments SET status = 'completed', completion_date = '2300-01-01'")
    )
    assert [row[1:] for row in months(session, enrollment.course_id)] == [(1, 1, 1, 0)]


# -- payments ------------------------------------------------------------------------------


def pay(session: RoutingSession, **values: object) -> Transaction:
    with bound(session):
        payment = TransactionFactory.create(**values)
    complete_transaction(session, payment.id, str(payment.id))
    session.expire(payment)
    return payment


def refund(session: RoutingSession, payment: Transaction, amount: str | None = None) -> UUID:
    pending = create_refund(session, payment.id, amount=amount)
    complete_refund(session, pending.id, str(pending.id))
    return pending.id


def test_count_payments(session: RoutingSession) -> None:
    payment = pay(session, amount_minor=4_900)
    course_id = payment.course_id
    assert course_id is not None
    course = session.get_one(Course, course_id)
    pay(session, course=course, amount_minor=1_000, user__region="africa")
    pay(session, course=course, amount_minor=500, currency="JPY")
    assert revenue(session, course_id) == [
        ("EUR", 1, 4_900, 0, 0),
        ("EUR", 1, 1_000, 0, 0),  # of Africa
        ("JPY", 1, 500, 0, 0),
    ]
    assert counters(session, "revenue") == {
        "payments EUR": 2,
        "paid EUR": 5_900,
        "payments JPY": 1,
        "paid JPY": 500,
    }


def test_count_payments_of_refunds(session: RoutingSession) -> None:
    payment = pay(session, amount_minor=4_900)
    course_id = payment.course_id
    assert course_id is not None
    refund(session, payment, "9.00")
    assert revenue(session, course_id) == [("EUR", 1, 4_900, 1, 900)]
    pending = create_refund(session, payment.id, amount="40.00")
    assert revenue(session, course_id) == [("EUR", 1, 4_900, 1, 900)]  # not given back yet
    fail_transaction(session, pending.id)
    refund(session, payment, "40.00")
    assert revenue(session, course_id) == [("EUR", 1, 4_900, 2, 4_900)]
    assert counters(session, "revenue") == {
        "payments EUR": 1,
        "paid EUR": 4_900,
        "refunds EUR": 2,
        "refunded EUR": 4_900,
    }


def test_count_payments_of_no_course_and_of_nothing(session: RoutingSession) -> None:
    subscription = pay(
        session,
        course=None,
        amount_minor=2_000,
        currency="USD",
        transaction_type="subscription",
    )
    free = pay(session, amount_minor=0)
    refund(session, subscription)
    with bound(session):
        TransactionFactory.create()
        failed = TransactionFactory.create()
    fail_transaction(session, failed.id)
    assert free.course_id is not None
    assert revenue(session, free.course_id) == [("EUR", 1, 0, 0, 0)]
    assert session.scalars(select(CourseRevenue.course_id)).all() == [free.course_id]
    assert counters(session, "revenue") == {
        "payments EUR": 1,
        "payments USD": 1,
        "paid USD": 2_000,
        "refunds USD": 1,
        "refunded USD": 2_000,
    }


# -- adding up -----------------------------------------------------------------------------


def rows_of(session: RoutingSession) -> Sequence[object]:
    return session.execute(
        text(
            "SELECT name, detail, region_code, month, currency, change, id FROM platform_counters "
            "ORDER BY 1, 2, 3, 4, 5"
        )
    ).all()


def test_fold_platform_counters(session: RoutingSession) -> None:
    running = make_running(session, 1)
    for _ in range(3):
        running.enroll(*running.lessons)
    running.enroll(status=None)
    session.execute(text("DELETE FROM enrollments WHERE status = 'active'"))
    pay(session)
    before = rows_of(session)
    saved = session.scalar(text("SELECT fold_platform_counters()"))
    after = rows_of(session)
    assert saved == len(before) - len(after) > 0
    assert len({row[:5] for row in after}) == len(after)  # type: ignore[index]
    assert differences(session) == []
    # What is one row already stays that row: nothing is written where nothing has happened.
    assert session.scalar(text("SELECT fold_platform_counters()")) == 0
    assert rows_of(session) == after


def test_fold_platform_counters_leaves_no_zeros(session: RoutingSession) -> None:
    user_id = new_id("europe")
    session.execute(
        insert(User).values(id=user_id, email="a@example.com", first_name="A", last_name="B")
    )
    session.execute(text("DELETE FROM users"))
    assert session.scalar(text("SELECT fold_platform_counters()")) == 2
    assert rows_of(session) == []
