"""Lists of enrollments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from elearning.crud import EnrolledUser, list_course_enrollments, list_enrollments
from elearning.errors import InvalidPage, InvalidText
from elearning.flows import Platform
from elearning.ids import new_id
from elearning.models import Course, EnrollmentStatus
from elearning.regions import Region
from elearning.routing import Engines, ReadSession, RoutingSession
from elearning.testing.copies import copies_of, wait_sent
from elearning.testing.factories import (
    CourseFactory,
    EnrollmentFactory,
    InstructorFactory,
    UserFactory,
    bound,
)
from tests.crud.learning import wait_for_replicas
from tests.served import served

START = datetime(2025, 1, 1, tzinfo=UTC)
STATES = [
    EnrollmentStatus.ACTIVE,
    EnrollmentStatus.COMPLETED,
    EnrollmentStatus.DROPPED,
    EnrollmentStatus.EXPIRED,
]


def values_of(number: int) -> dict[str, Any]:
    status = STATES[number % 4]
    done = START + timedelta(days=500) if status is EnrollmentStatus.COMPLETED else None
    return {
        # Two of each day.
        "enrollment_date": START + timedelta(days=number // 2),
        "status": status,
        "completion_date": done,
    }


@pytest.fixture
def student(session: RoutingSession) -> UUID:
    """Return somebody with eight enrollments, two in each state."""
    with bound(session):
        user = UserFactory.create()
        other = UserFactory.create()
        for number in range(8):
            course = CourseFactory.create(title=f"Course {number}")
            EnrollmentFactory.create(user=user, course=course, **values_of(number))
        EnrollmentFactory.create(user=other, course=course)
    student_id: UUID = user.id
    session.commit()
    return student_id


def test_a_users_enrollments_newest_first(student: UUID, session: RoutingSession) -> None:
    everything = list_enrollments(student).page(session).items
    keys = [(each.enrollment_date, each.enrollment_id) for each in everything]
    assert len(keys) == 8
    assert keys == sorted(keys, reverse=True)
    pages = []
    after = None
    while True:
        page = list_enrollments(student).page(session, size=3, after=after)
        pages.append(len(page.items))
        assert list(page.items) == everything[sum(pages[:-1]) : sum(pages)]
        if (after := page.next) is None:
            break
    assert pages == [3, 3, 2]
    newest = everything[0]
    course = session.get_one(Course, newest.course_id)
    assert (newest.title, newest.slug, newest.course_code) == (
        course.title,
        course.slug,
        course.course_code,
    )
    assert newest.instructor_name == course.instructor_name


@pytest.mark.parametrize("status", [*STATES, pytest.param("completed", id="text")])
def test_enrollments_in_one_state(
    student: UUID, session: RoutingSession, status: EnrollmentStatus | str
) -> None:
    found = list_enrollments(student, status=status).page(session).items
    assert [each.status for each in found] == [EnrollmentStatus(status)] * 2


@pytest.mark.parametrize("status", ["", "ACTIVE", "done", 1])
def test_there_is_no_such_state(status: Any) -> None:
    for listing in (list_enrollments, list_course_enrollments):
        with pytest.raises(InvalidText, match="is none of active, completed, dropped, expired"):
            listing(new_id("asia"), status=status)


def test_a_page_is_one_statement_on_the_users_shard(
    student: UUID, session: RoutingSession, engines: Engines
) -> None:
    wait_for_replicas(engines, session)
    with (
        ReadSession(engines=engines, region="asia", token=session.token) as reader,
        served(engines) as nodes,
    ):
        first = list_enrollments(student).page(reader, size=5)
        list_enrollments(student, status="active").page(reader)
        list_enrollments(student).page(reader, size=5, after=first.next)
    assert nodes == ["eu-replica-1"] * 3


def test_pages_that_are_wrong(student: UUID, session: RoutingSession) -> None:
    page = list_enrollments(student).page(session, size=2)
    assert page.next is not None
    for after in ("x", page.next[:-2], page.next + "A", ""):
        with pytest.raises(InvalidPage):
            list_enrollments(student).page(session, after=after)
    for size in (0, 1001, True, "5"):
        with pytest.raises(InvalidText, match="size"):
            list_enrollments(student).page(session, size=size)  # type: ignore[arg-type]


def test_nobody_has_no_enrollments(session: RoutingSession) -> None:
    assert list_enrollments(new_id("europe")).page(session).items == []
    assert list_course_enrollments(new_id("asia")).page(session).items == []


@pytest.fixture
def world_course(engines: Engines, empty_databases: None) -> UUID:
    """Return a course of europe with four people in it in each region's shard."""
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        course = CourseFactory.create(instructor=InstructorFactory.create())
        course_id: UUID = course.id
        session.commit()
        with session.connection() as connection:
            assert wait_sent(connection, copies_of(engines.settings, "eu"), 10)
    for shard, region in enumerate((Region.EUROPE, Region.ASIA, Region.NORTH_AMERICA)):
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            copy = session.get_one(Course, course_id)
            for number in range(4):
                user = UserFactory.create(region=region, first_name=region, last_name=str(number))
                EnrollmentFactory.create(user=user, course=copy, **values_of(3 * number + shard))
            session.commit()
            wait_for_replicas(engines, session)
    return course_id


def test_who_takes_a_course_in_one_region(world_course: UUID, engines: Engines) -> None:
    with (
        ReadSession(engines=engines, region="asia", consistency="eventual") as reader,
        served(engines) as nodes,
    ):
        page = list_course_enrollments(world_course).page(reader, size=3)
        rest = list_course_enrollments(world_course).page(reader, size=3, after=page.next)
        done = list_course_enrollments(world_course, status="completed").page(reader).items
    assert nodes == ["asia-replica-1"] * 3
    assert [(each.first_name, each.last_name) for each in [*page.items, *rest.items]] == [
        ("asia", number) for number in "3210"
    ]
    assert rest.next is None
    assert {each.status for each in done} == {EnrollmentStatus.COMPLETED}


def test_who_takes_a_course_in_the_world(world_course: UUID, engines: Engines) -> None:
    listing = list_course_enrollments(world_course)
    found: list[EnrolledUser] = []
    after = None
    while True:
        with served(engines) as nodes:
            page = listing.everywhere(engines, size=5, after=after, consistency="eventual")
        assert sorted(nodes) == ["asia-replica-1", "eu-replica-1", "na-replica-1"]
        found += page.items
        if (after := page.next) is None:
            break
    keys = [(each.enrollment_date, each.enrollment_id) for each in found]
    assert len(set(keys)) == 12
    assert keys == sorted(keys, reverse=True)
    dropped = list_course_enrollments(world_course, status="dropped")
    states = {each.status for each in dropped.everywhere(engines).items}
    assert states == {EnrollmentStatus.DROPPED}


async def test_asynchronous_callers(platform: Platform, student: UUID) -> None:
    async with platform.read_session("europe", consistency="primary") as reader:
        page = await reader.run_sync(list_enrollments(student).page)
    assert len(page.items) == 8
    everywhere = await list_enrollments(student).everywhere_async(
        platform.engines, consistency="primary"
    )
    assert [each.enrollment_id for each in everywhere.items] == [
        each.enrollment_id for each in page.items
    ]
