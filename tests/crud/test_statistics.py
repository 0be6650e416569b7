"""Figures of the whole world, from the counters of all shards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from elearning.config import Settings
from elearning.crud import (
    Figures,
    cancel_enrollment,
    complete_refund,
    complete_transaction,
    course_funnel,
    course_revenue,
    create_refund,
    create_transaction,
    enroll_user,
    figures_of,
    instructor_revenue,
    instructor_statistics,
    mark_lesson_complete,
    platform_funnel,
    platform_revenue,
    platform_statistics,
)
from elearning.errors import CourseNotFound, InvalidId, InvalidPeriod, NodeUnavailable, UserNotFound
from elearning.ids import new_id, region_of
from elearning.models import (
    Course,
    CourseReview,
    CourseStatistics,
    CourseStatus,
    Enrollment,
    UserStatus,
    UserType,
)
from elearning.plain import to_dict
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession, Token, fan_out
from elearning.testing.copies import wait_copied
from elearning.testing.factories import (
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    InstructorFactory,
    UserFactory,
    bound,
)
from tests.served import served

REPLICAS = {"na-replica-1", "eu-replica-1", "asia-replica-1"}
NOW = datetime.now(UTC)
THIS_MONTH = NOW.date().replace(day=1)
LONG_AGO = date(2024, 2, 1)


@dataclass(frozen=True)
class School:
    """An instructor of Europe with three courses, and students of three shards.

    Two students of each of Europe, Asia and North America take the first course of one lesson:
    the first of each has completed it, and is in the second course, too; in Asia the other has
    dropped it. All began this month, but those of America, who began long ago.
    """

    instructor_id: UUID
    idle_id: UUID
    courses: tuple[UUID, ...]
    token: Token


@pytest.fixture(scope="module")
def school(engines: Engines, clean: Callable[[], None]) -> School:
    clean()
    token = Token()
    with (
        RoutingSession(engines=engines, region="europe", token=token) as session,
        bound(session),
    ):
        instructor = InstructorFactory.create()
        idle = InstructorFactory.create(status=UserStatus.INACTIVE)
        courses = CourseFactory.create_batch(2, instructor=instructor)
        draft = CourseFactory.create(
            instructor=instructor, status=CourseStatus.DRAFT, published_at=None
        )
        CourseFactory.create(instructor__region="africa")  # somebody else's
        lessons = [
            CourseLessonFactory.create(module=CourseModuleFactory.create(course=course)).id
            for course in courses
        ]
        made = School(instructor.id, idle.id, tuple(each.id for each in (*courses, draft)), token)
        session.commit()
    wait_copied(engines)
    for region in (Region.EUROPE, Region.ASIA, Region.NORTH_AMERICA):
        with RoutingSession(engines=engines, region=region, token=token) as session:
            study(session, made, lessons[0], region)
            session.commit()
    wait_copied(engines)
    # Replicas have the copies, too, from here on.
    for shard in engines.shards:
        region = engines.settings.shard(shard).regions[0]
        with RoutingSession(engines=engines, region=region, token=token) as session:
            with bound(session):
                UserFactory.create(region=region, user_type=UserType.ADMIN)
            session.commit()
    return made


def study(session: RoutingSession, school: School, lesson_id: UUID, region: Region) -> None:
    with bound(session):
        first, second = UserFactory.create_batch(2, region=region)
    begun = enroll_user(session, first.id, school.courses[0])
    mark_lesson_complete(session, begun, lesson_id)
    enroll_user(session, first.id, school.courses[1])
    other = enroll_user(session, second.id, school.courses[0])
    session.add(
        CourseReview(
            id=new_id(region),
            enrollment_id=begun,
            course_id=school.courses[0],
            rating=5 if region is Region.ASIA else 4,
        )
    )
    payment = create_transaction(
        session,
        first.id,
        school.courses[0],
        gateway="simulated",
        amount=1_000 if region is Region.ASIA else 10,
        currency="JPY" if region is Region.ASIA else "EUR",
    )
    complete_transaction(session, payment.id, str(payment.id))
    session.expire_all()
    if region is Region.ASIA:
        cancel_enrollment(session, other)
    if region is Region.EUROPE:
        refund = create_refund(session, payment.id, amount="2.50")
        complete_refund(session, refund.id, str(refund.id))
    if region is Region.NORTH_AMERICA:
        session.execute(update(Enrollment).values(enrollment_date=datetime(2024, 2, 3, tzinfo=UTC)))


@pytest.fixture(scope="module")
async def async_engines(settings: Settings) -> AsyncIterator[Engines]:
    engines = Engines(settings, asynchronous=True)
    yield engines
    await engines.close_async()


@pytest.fixture(scope="module")
def without_asia(settings: Settings) -> Iterator[Engines]:
    asia = settings.shard("asia")
    nowhere = replace(asia, primary=asia.primary.set(port=1), replicas=())
    shards = tuple(nowhere if shard is asia else shard for shard in settings.shards)
    with Engines(replace(settings, shards=shards)) as engines:
        yield engines


def test_instructor_statistics(engines: Engines, school: School) -> None:
    with served(engines) as nodes:
        found = instructor_statistics(school.instructor_id).everywhere(engines, token=school.token)
    assert found.courses == {CourseStatus.PUBLISHED: 2, CourseStatus.DRAFT: 1}
    # Three completed the first course and take the second, and two take the first one.
    assert (found.enrollments, found.completions) == (8, 3)
    # The three are counted once, and who only has a completed course not at all.
    assert found.active_students == 5
    assert (found.total_ratings, found.rating) == (3, Decimal("4.33"))
    assert list(found.revenue) == ["EUR", "JPY"]
    euros = found.revenue["EUR"]
    assert (euros.payments, euros.paid, euros.refunds, euros.refunded) == (
        2,
        Decimal("20.00"),
        1,
        Decimal("2.50"),
    )
    assert (euros.net, found.revenue["JPY"].net) == (Decimal("17.50"), Decimal(1_000))
    assert not found.missing
    # Courses from the instructor's shard alone, all else from each; no primary.
    assert sorted(nodes) == sorted([*REPLICAS, *REPLICAS, "eu-replica-1"])


def test_instructor_statistics_of_somebody_without_courses(
    engines: Engines, school: School
) -> None:
    found = instructor_statistics(school.idle_id).everywhere(engines, token=school.token)
    assert (found.courses, found.revenue) == ({}, {})
    assert (found.enrollments, found.active_students, found.total_ratings) == (0, 0, 0)
    assert found.rating is None
    with pytest.raises(UserNotFound):
        instructor_statistics(new_id("asia")).everywhere(engines)
    with pytest.raises(UserNotFound):
        instructor_revenue(new_id("asia")).everywhere(engines)


def test_platform_statistics(engines: Engines, school: School) -> None:
    with served(engines) as nodes:
        found = platform_statistics().everywhere(engines, token=school.token)
    assert set(nodes) == REPLICAS
    assert len(nodes) == 3
    assert found.users == {
        UserType.STUDENT: {UserStatus.ACTIVE: 6},
        UserType.INSTRUCTOR: {UserStatus.ACTIVE: 2, UserStatus.INACTIVE: 1},
        UserType.ADMIN: {UserStatus.ACTIVE: 3},
    }
    assert found.total_users == 12
    # Each where it is at home; its copies are none.
    assert found.courses == {CourseStatus.PUBLISHED: 3, CourseStatus.DRAFT: 1}
    assert found.total_courses == 4
    funnel = found.enrollments
    assert (funnel.enrolled, funnel.started, funnel.completed, funnel.ended) == (9, 3, 3, 1)
    assert (funnel.active, funnel.completion_rate) == (5, Decimal("33.33"))
    assert (found.reviews, found.rating) == (3, Decimal("4.33"))
    assert {each.currency: each.net for each in found.revenue.values()} == {
        "EUR": Decimal("17.50"),
        "JPY": Decimal(1_000),
    }
    assert (found.documents, found.missing) == (None, {})


def test_course_funnel(engines: Engines, school: School) -> None:
    with served(engines) as nodes:
        found = course_funnel(school.courses[0]).everywhere(engines, token=school.token)
    assert sorted(nodes) == sorted([*REPLICAS, "eu-replica-1"])
    total = found.total
    assert (total.enrolled, total.started, total.completed, total.ended) == (6, 3, 3, 1)
    assert total.completion_rate == Decimal("50.00")
    # By default, the twelve months up to now.
    (month,) = found.months
    assert (month.month, month.enrolled, month.completed) == (THIS_MONTH, 4, 2)
    assert month.active == 1
    then = course_funnel(school.courses[0], first=date(2024, 1, 31), last=date(2024, 2, 1))
    (month,) = then.everywhere(engines, token=school.token).months
    assert (month.month, month.enrolled, month.completed) == (LONG_AGO, 2, 1)


def test_course_funnel_is_no_less_than_the_figures_of_the_course(
    engines: Engines, school: School
) -> None:
    found = course_funnel(school.courses[0]).everywhere(engines, token=school.token)
    with RoutingSession(engines=engines, region="asia", token=school.token) as session:
        figures = figures_of(session, school.courses[0])
    assert figures.enrollments == found.total.enrolled - found.total.ended
    assert figures.completions == found.total.completed


def test_copied_counters_count_once(engines: Engines, school: School) -> None:
    # Every shard has the counters of all regions; a fan-out takes each from where it is counted.
    s = CourseStatistics
    for statement in (
        select(func.sum(s.enrollments), func.sum(s.total_ratings)),
        select(func.sum(s.enrollments), func.sum(s.total_ratings)).join(
            Course, Course.id == s.course_id
        ),
    ):
        assert tuple(fan_out(engines, statement, token=school.token).one()) == (8, 3)


def test_course_and_instructor_revenue(engines: Engines, school: School) -> None:
    for figures in (course_revenue(school.courses[0]), instructor_revenue(school.instructor_id)):
        with served(engines) as nodes:
            found: Any = figures.everywhere(engines, token=school.token)
        assert sorted(nodes) == sorted([*REPLICAS, "eu-replica-1"])
        assert [(each.month, each.currency, each.net) for each in found.months] == [
            (THIS_MONTH, "EUR", Decimal("17.50")),
            (THIS_MONTH, "JPY", Decimal(1_000)),
        ]
        assert found.total["EUR"].payments == 2
    before = instructor_revenue(school.instructor_id, last=LONG_AGO)
    report = before.everywhere(engines, token=school.token)
    assert (report.months, report.total["EUR"].refunds) == ([], 1)
    empty = course_revenue(school.courses[2]).everywhere(engines)
    assert (empty.months, empty.total) == ([], {})


def test_platform_by_month(engines: Engines, school: School) -> None:
    funnel = platform_funnel(first=LONG_AGO, last=LONG_AGO).everywhere(engines, token=school.token)
    assert [(each.month, each.enrolled) for each in funnel.months] == [(LONG_AGO, 3)]
    assert funnel.total.enrolled == 9
    revenue = platform_revenue().everywhere(engines, token=school.token)
    assert [(each.month, each.currency, each.net) for each in revenue.months] == [
        (THIS_MONTH, "EUR", Decimal("17.50")),
        (THIS_MONTH, "JPY", Decimal(1_000)),
    ]


ALL: dict[str, Callable[[School], Figures[Any]]] = {
    "platform": lambda _: platform_statistics(),
    "platform-funnel": lambda _: platform_funnel(first=LONG_AGO, last=date(2030, 1, 1)),
    "platform-revenue": lambda _: platform_revenue(),
    "instructor": lambda school: instructor_statistics(school.instructor_id),
    "instructor-revenue": lambda school: instructor_revenue(school.instructor_id),
    "course-funnel": lambda school: course_funnel(school.courses[0]),
    "course-revenue": lambda school: course_revenue(school.courses[0]),
}


@pytest.mark.parametrize("figures", ALL.values(), ids=ALL)
async def test_async_does_the_same(
    engines: Engines,
    async_engines: Engines,
    school: School,
    figures: Callable[[School], Figures[Any]],
) -> None:
    one = figures(school).everywhere(engines, token=school.token)
    other = await figures(school).everywhere_async(async_engines, token=school.token)
    assert one == other
    assert to_dict(one, json=True)


@pytest.mark.parametrize("figures", ALL.values(), ids=ALL)
def test_without_a_shard(
    without_asia: Engines, school: School, figures: Callable[[School], Figures[Any]]
) -> None:
    with pytest.raises(NodeUnavailable, match="asia-primary"):
        figures(school).everywhere(without_asia)
    found = figures(school).everywhere(without_asia, token=school.token, on_shard_error="partial")
    assert list(found.missing) == ["asia"]
    if hasattr(found, "total") and isinstance(found.total, dict):
        assert list(found.total) == ["EUR"]


def test_without_the_home(without_asia: Engines, school: School) -> None:
    # Who says whether there is such a user?
    for figures in (instructor_statistics(new_id("asia")), course_funnel(new_id("asia"))):
        with pytest.raises(NodeUnavailable, match="asia-primary"):
            figures.everywhere(without_asia, on_shard_error="partial")


def test_bad_input(engines: Engines, school: School) -> None:
    bad: Any = "x"
    for operation in (instructor_statistics, instructor_revenue, course_funnel, course_revenue):
        with pytest.raises(InvalidId):
            operation(bad)
    for operation in (course_funnel, course_revenue):
        with pytest.raises(CourseNotFound):
            operation(new_id("europe")).everywhere(engines)


@pytest.mark.parametrize(
    ("first", "last", "problem"),
    [
        (date(2024, 2, 1), date(2024, 1, 31), "end before they begin"),
        (date(2030, 1, 1), date(2020, 1, 31), "end before they begin"),
        (date(2014, 1, 1), date(2024, 1, 1), "more than 120 months"),
        (date.min, date.max, "more than 120 months"),
        (datetime(2024, 1, 1, tzinfo=UTC), None, "expected two dates"),
        ("2024-01-01", None, "expected two dates"),
        (None, 2024, "expected two dates"),
    ],
)
def test_bad_periods(first: Any, last: Any, problem: str) -> None:
    for operation in (platform_funnel, platform_revenue):
        with pytest.raises(InvalidPeriod, match=problem):
            operation(first=first, last=last)


def test_periods_at_the_ends_of_time(engines: Engines) -> None:
    for last in (date.min, date.max):
        assert platform_funnel(last=last).everywhere(engines).months == []
    ten_years = platform_funnel(first=THIS_MONTH - timedelta(days=118 * 30), last=THIS_MONTH)
    assert ten_years.everywhere(engines).missing == {}
    assert region_of(new_id("asia")) is Region.ASIA


def test_what_was_just_written_is_counted(engines: Engines, school: School) -> None:
    with (
        RoutingSession(engines=engines, region="asia", token=school.token) as session,
        bound(session),
    ):
        user = UserFactory.create(region="asia", user_type=UserType.ADMIN)
        session.commit()
        assert session.scalar(text("SELECT fold_platform_counters()")) is not None
        session.commit()
        more = platform_statistics().everywhere(engines, token=school.token)
        session.execute(text("DELETE FROM users WHERE id = :id"), {"id": user.id})
        session.commit()
        less = platform_statistics().everywhere(engines, token=school.token)
    admins = [each.users[UserType.ADMIN][UserStatus.ACTIVE] for each in (more, less)]
    assert admins == [4, 3]
