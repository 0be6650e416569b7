from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update

from elearning.cluster.embedded import EmbeddedCluster
from elearning.crud import enroll_user, get_course, get_enrollment
from elearning.documents import ContentType, CourseContent
from elearning.errors import (
    AlreadyEnrolled,
    CourseFull,
    CourseNotFound,
    CourseNotOpen,
    ElearningError,
    InvalidId,
    UserNotFound,
)
from elearning.flows import NewUser, Platform, enroll, register
from elearning.ids import new_id, region_of
from elearning.models import (
    Course,
    CourseStatus,
    Enrollment,
    EnrollmentStatus,
    LessonProgress,
)
from elearning.regions import Region
from elearning.routing import Engines, ReadSession
from elearning.testing.switches import Switches
from tests.flows.conftest import Campus, make_campus
from tests.snapshots import Snapshot


async def add_content(campus: Campus) -> list[UUID]:
    contents = [
        CourseContent(
            content_id=new_id(campus.region),
            course_id=campus.course_id,
            lesson_id=lesson_id,
            content_type=ContentType.VIDEO,
            video_url="https://media.example.org/v",
        )
        for lesson_id in campus.lesson_ids
    ]
    for content in contents:
        await content.insert()
    return [content.content_id for content in contents]


async def more_users(platform: Platform, region: Region, number: int) -> list[UUID]:
    return [
        await register(
            platform,
            NewUser(region=region, email=f"s{n}@example.com", first_name="S", last_name="T"),
        )
        for n in range(number)
    ]


async def set_course(platform: Platform, campus: Campus, **values: Any) -> None:
    async with platform.session(campus.region) as session, session.begin():
        await session.execute(update(Course).where(Course.id == campus.course_id).values(**values))


async def test_enrollment_in_every_region(
    platform: Platform, engines: Engines, region: Region
) -> None:
    campus = make_campus(engines, region)
    content_ids = await add_content(campus)
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    assert region_of(enrolled.enrollment_id) is region
    assert [len(module.lessons) for module in enrolled.curriculum] == [2, 1]
    lessons = [lesson for module in enrolled.curriculum for lesson in module.lessons]
    assert tuple(lesson.lesson_id for lesson in lessons) == campus.lesson_ids
    assert [lesson.content_ids for lesson in lessons] == [(one,) for one in content_ids]
    assert enrolled.content_read
    async with platform.session(region, consistency="primary") as session:
        rows = (
            await session.scalars(
                select(LessonProgress).where(LessonProgress.enrollment_id == enrolled.enrollment_id)
            )
        ).all()
        enrollment = await session.run_sync(get_enrollment, enrolled.enrollment_id)
    assert {row.lesson_id for row in rows} == set(campus.lesson_ids)
    assert {region_of(row.id) for row in rows} == {region}
    assert (enrollment.status, enrollment.total_lessons) == (EnrollmentStatus.ACTIVE, 3)


async def test_the_last_seat_is_given_once(platform: Platform, campus: Campus) -> None:
    await set_course(platform, campus, max_enrollments=3)
    users = await more_users(platform, campus.region, 12)
    results = await asyncio.gather(
        *(enroll(platform, user, campus.course_id) for user in users), return_exceptions=True
    )
    errors = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(error, CourseFull) for error in errors), errors
    assert len(errors) == 9
    async with platform.session(campus.region, consistency="primary") as session:
        assert await session.scalar(select(func.count()).select_from(Enrollment)) == 3


async def test_the_last_seat_waits_for_who_asked_first(platform: Platform, campus: Campus) -> None:
    await set_course(platform, campus, max_enrollments=1)
    (other,) = await more_users(platform, campus.region, 1)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with platform.session(campus.region) as first:
        await first.run_sync(enroll_user, other, campus.course_id)
        second = asyncio.create_task(enroll(platform, campus.user_id, campus.course_id))
        async with platform.session(campus.region) as watch, asyncio.timeout(10):
            waits = False
            while not (waits or second.done()):
                waits = bool(await watch.scalar(waiting))
        assert not second.done()
        await first.commit()
    with pytest.raises(CourseFull):
        await second


async def test_a_seat_that_came_free_is_given_although_the_replica_lags(
    platform: Platform, campus: Campus, cluster: EmbeddedCluster
) -> None:
    await set_course(platform, campus, max_enrollments=1)
    (other,) = await more_users(platform, campus.region, 1)
    enrolled = await enroll(platform, other, campus.course_id)
    async with platform.session(campus.region) as session, session.begin():
        await session.execute(select(func.pg_current_wal_lsn()))
        held = await session.scalar(select(Enrollment.id).with_for_update())
        assert held == enrolled.enrollment_id
        await session.execute(
            update(Enrollment).where(Enrollment.id == held).values(status=EnrollmentStatus.DROPPED)
        )
    # The replica may not have seen it yet; the primary decides.
    assert (await enroll(platform, campus.user_id, campus.course_id)).content_read


async def test_a_dropped_enrollment_is_taken_up_again_with_its_progress(
    platform: Platform, campus: Campus
) -> None:
    first = await enroll(platform, campus.user_id, campus.course_id)
    async with platform.session(campus.region) as session, session.begin():
        await session.execute(
            update(LessonProgress)
            .where(LessonProgress.lesson_id == campus.lesson_ids[0])
            .values(completed=True, completion_date=func.now())
        )
        await session.execute(update(Enrollment).values(status=EnrollmentStatus.DROPPED))
    again = await enroll(platform, campus.user_id, campus.course_id)
    assert again.enrollment_id == first.enrollment_id
    async with platform.session(campus.region, consistency="primary") as session:
        enrollment = await session.run_sync(get_enrollment, first.enrollment_id)
    assert enrollment.status is EnrollmentStatus.ACTIVE
    assert (enrollment.completed_lessons, enrollment.total_lessons) == (1, 3)


async def test_an_archived_lesson_is_left_out(platform: Platform, campus: Campus) -> None:
    from elearning.models import CourseLesson  # noqa: PLC0415

    async with platform.session(campus.region) as session, session.begin():
        await session.execute(
            update(CourseLesson)
            .where(CourseLesson.id == campus.lesson_ids[1])
            .values(archived_at=func.now())
        )
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    assert [len(module.lessons) for module in enrolled.curriculum] == [1, 1]


@pytest.mark.parametrize(
    ("status", "times"),
    [
        (CourseStatus.DRAFT, {}),
        (CourseStatus.ARCHIVED, {"archived_at": func.now()}),
    ],
)
async def test_a_course_that_is_not_open(
    platform: Platform,
    campus: Campus,
    snapshot: Snapshot,
    status: CourseStatus,
    times: dict[str, Any],
) -> None:
    await set_course(platform, campus, status=status, **times)
    before = snapshot()
    with pytest.raises(CourseNotOpen, match=f"{campus.course_id} is {status}"):
        await enroll(platform, campus.user_id, campus.course_id)
    assert snapshot() == before


async def test_enrolling_twice(platform: Platform, campus: Campus, snapshot: Snapshot) -> None:
    await enroll(platform, campus.user_id, campus.course_id)
    before = snapshot()
    with pytest.raises(AlreadyEnrolled, match="enrollment active"):
        await enroll(platform, campus.user_id, campus.course_id)
    assert snapshot() == before


async def test_a_full_course(platform: Platform, campus: Campus, snapshot: Snapshot) -> None:
    await set_course(platform, campus, max_enrollments=1)
    (other,) = await more_users(platform, campus.region, 1)
    await enroll(platform, other, campus.course_id)
    before = snapshot()
    with pytest.raises(CourseFull, match="all 1 seats are taken"):
        await enroll(platform, campus.user_id, campus.course_id)
    assert snapshot() == before


@pytest.mark.parametrize(
    ("which", "stranger", "error"),
    [
        ("user", new_id("europe"), UserNotFound),
        ("user", uuid4(), InvalidId),
        ("course", new_id("europe"), CourseNotFound),
        ("course", new_id("asia"), CourseNotFound),
        ("course", uuid4(), InvalidId),
        ("course", "not an id", InvalidId),
        ("user", None, InvalidId),
    ],
)
async def test_unknown_ids(
    platform: Platform,
    campus: Campus,
    snapshot: Snapshot,
    which: str,
    stranger: Any,
    error: type[ElearningError],
) -> None:
    before = snapshot()
    ids = {"user": campus.user_id, "course": campus.course_id} | {which: stranger}
    with pytest.raises(error):
        await enroll(platform, ids["user"], ids["course"])
    assert snapshot() == before


async def test_a_replica_that_dies_does_not_spoil_an_enrollment(
    platform: Platform, campus: Campus, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies_before(session: ReadSession, course_id: UUID) -> Course:
        switches.kill("eu-replica-1")
        return get_course(session, course_id)

    monkeypatch.setattr("elearning.flows.enrollment.get_course", dies_before)
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    assert len(enrolled.curriculum) == 2


async def test_mongodb_down_does_not_undo_the_enrollment(
    platform: Platform,
    campus: Campus,
    cluster: EmbeddedCluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mongodb = cluster.node("mongodb")
    mongodb.kill()
    try:
        with caplog.at_level(logging.WARNING, "elearning.flows"):
            enrolled = await enroll(platform, campus.user_id, campus.course_id)
    finally:
        mongodb.start()
    assert not enrolled.content_read
    assert len(enrolled.curriculum) == 2
    assert "no content ids for course" in caplog.text
