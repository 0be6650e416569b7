"""A course of another shard is taken like one's own, and its home is asked once at most."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from elearning.config import Limits, Settings
from elearning.crud import enroll_user, figures_of, get_course, seats_of
from elearning.errors import (
    AlreadyEnrolled,
    CopiedRow,
    CourseFull,
    CourseNotCopied,
    CourseNotFound,
    CourseNotOpen,
    EnrollmentClosed,
    NodeUnavailable,
    SeatNotClaimed,
)
from elearning.flows import Platform, complete_lesson, enroll, purchase, recover
from elearning.flows.gateway import SimulatedGateway
from elearning.ids import new_id, region_of
from elearning.models import Course, CourseStatus, Enrollment
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.copies import wait_copied
from elearning.testing.databases import wait_fit
from elearning.testing.factories import CourseReviewFactory, UserFactory, bound
from elearning.testing.switches import Switches
from tests.flows.conftest import copying_stopped, make_campus
from tests.served import served
from tests.snapshots import Snapshot

HOME = Region.SOUTH_AMERICA


def student(engines: Engines, region: Region = Region.OCEANIA) -> UUID:
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        user_id = UserFactory.create(region=region).id
        session.commit()
    return user_id


@pytest.mark.parametrize("seats", [None, 2])
async def test_the_home_is_asked_once_at_most(
    platform: Platform, engines: Engines, seats: int | None
) -> None:
    campus = make_campus(engines, HOME, max_enrollments=seats)
    user_id = student(engines)
    wait_copied(engines)
    # Its confirmation is sent in the background, whether the answer is there by then or not.
    with served(platform.engines, but="confirm_claim") as nodes:
        enrolled = await enroll(platform, user_id, campus.course_id)
        asked = Counter(node.split("-")[0] for node in nodes)
    assert asked["na"] == (1 if seats else 0)
    assert asked["eu"] == 0
    assert [len(module.lessons) for module in enrolled.curriculum] == [2, 1]
    await platform.background.finish()
    for lesson_id in campus.lesson_ids:
        progress = await complete_lesson(platform, enrolled.enrollment_id, lesson_id)
    assert progress.percentage == 100
    with pytest.raises(AlreadyEnrolled, match="completed"):
        await enroll(platform, user_id, campus.course_id)
    invoice_id = await purchase(platform, user_id, campus.course_id, SimulatedGateway())
    assert region_of(invoice_id) is Region.OCEANIA


async def test_a_limit_holds_worldwide(platform: Platform, engines: Engines) -> None:
    campus = make_campus(engines, HOME, max_enrollments=4)
    people = [student(engines, region) for region in Region for _ in range(2)]
    wait_copied(engines)
    results = await asyncio.gather(
        *(enroll(platform, user_id, campus.course_id) for user_id in people),
        return_exceptions=True,
    )
    await platform.background.finish()
    errors = [each for each in results if isinstance(each, BaseException)]
    assert all(isinstance(each, CourseFull) for each in errors), errors
    assert len(results) - len(errors) == 4
    wait_copied(engines)
    for region in (Region.EUROPE, Region.ASIA, HOME):
        async with platform.read_session(region) as session:
            seats = await session.run_sync(seats_of, campus.course_id)
            figures = await session.run_sync(figures_of, campus.course_id)
        assert seats is not None
        assert (seats.limit, seats.taken, seats.free) == (4, 4, False)
        assert figures.enrollments == 4


async def test_a_course_that_was_published_just_now(
    platform: Platform, engines: Engines, settings: Settings
) -> None:
    user_id = student(engines)
    with copying_stopped(settings, "asia", "na"):
        campus = make_campus(engines, HOME, max_enrollments=1)
        waiting = asyncio.create_task(enroll(platform, user_id, campus.course_id))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
    assert (await waiting).course_title


async def test_a_copy_that_does_not_come(
    engines: Engines, settings: Settings, platform: Platform, snapshot: Snapshot
) -> None:
    user_id = student(engines)
    hasty = Platform(replace(platform.settings, limits=Limits(max_copy_wait=0.2)))
    with copying_stopped(settings, "asia", "na"):
        campus = make_campus(engines, HOME, max_enrollments=1)
        before = snapshot()
        with pytest.raises(CourseNotCopied, match=r"to shard asia yet, after 0.2 s"):
            await enroll(hasty, user_id, campus.course_id)
        assert snapshot() == before
    await hasty.engines.close_async()
    wait_copied(engines)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"status": CourseStatus.DRAFT}, CourseNotOpen),
        ({"status": CourseStatus.ARCHIVED, "archived_at": func.now()}, CourseNotOpen),
        ({"enrollment_closes_at": func.now()}, EnrollmentClosed),
        ({"enrollment_opens_at": func.now() + text("interval '1 hour'")}, EnrollmentClosed),
    ],
    ids=["draft", "archived", "closed", "not yet"],
)
async def test_a_course_that_cannot_be_taken(
    platform: Platform,
    engines: Engines,
    snapshot: Snapshot,
    values: dict[str, object],
    error: type[Exception],
) -> None:
    campus = make_campus(engines, HOME, max_enrollments=1)
    user_id = student(engines)
    async with platform.session(HOME) as session, session.begin():
        await session.execute(update(Course).where(Course.id == campus.course_id).values(**values))
    wait_copied(engines)
    before = snapshot()
    with pytest.raises(error, match=str(campus.course_id)):
        await enroll(platform, user_id, campus.course_id)
    await platform.background.finish()
    assert snapshot() == before


async def test_full_unknown_or_without_a_claim(
    platform: Platform, engines: Engines, snapshot: Snapshot
) -> None:
    campus = make_campus(engines, HOME, max_enrollments=1)
    user_id = student(engines)
    wait_copied(engines)
    await enroll(platform, campus.user_id, campus.course_id)
    wait_copied(engines)
    before = snapshot()
    with pytest.raises(CourseFull, match="all 1 seats"):
        await enroll(platform, user_id, campus.course_id)
    with pytest.raises(CourseNotFound):
        await enroll(platform, user_id, new_id(HOME))
    async with platform.session(Region.OCEANIA) as session:
        with pytest.raises(SeatNotClaimed, match="south_america"):
            await session.run_sync(enroll_user, user_id, campus.course_id)
    await platform.background.finish()
    assert snapshot() == before


async def test_a_home_that_does_not_answer(
    platform: Platform, engines: Engines, switches: Switches, snapshot: Snapshot
) -> None:
    limited = make_campus(engines, HOME, max_enrollments=1)
    free = make_campus(engines, HOME)
    user_id = student(engines)
    wait_copied(engines)
    switches.kill("na-primary")
    with pytest.raises(NodeUnavailable, match="na-primary"):
        await enroll(platform, user_id, limited.course_id)
    # Nothing was written here, and a course without a limit needs no second shard.
    async with platform.session(Region.OCEANIA, consistency="primary") as session:
        assert await session.scalar(select(func.count()).select_from(Enrollment)) == 0
    await enroll(platform, user_id, free.course_id)
    switches.restart("na-primary")
    wait_fit(platform.engines)
    assert (await recover(platform, age=0)).problems == []
    await enroll(platform, user_id, limited.course_id)
    await platform.background.finish()


async def test_a_copy_is_read_near_and_written_at_home(
    platform: Platform, engines: Engines
) -> None:
    campus = make_campus(engines, HOME)
    wait_copied(engines)
    with served(platform.engines) as nodes:
        async with platform.session(Region.EUROPE) as session:
            near = await session.get_one(Course, campus.course_id)
            whole = await session.run_sync(get_course, campus.course_id)
        assert {node.split("-")[0] for node in nodes} == {"eu"}
        nodes.clear()
        async with platform.session(Region.EUROPE, consistency="primary") as session:
            await session.get_one(Course, campus.course_id)
        assert set(nodes) == {"na-primary"}
        nodes.clear()
        async with platform.session(Region.EUROPE) as session, session.begin():
            course = await session.get_one(Course, campus.course_id)
            course.title = "Another title"
        # What this session has written, it reads: at home, for the copy may come later.
        async with platform.session(Region.EUROPE, token=session.token) as session:
            again = await session.get_one(Course, campus.course_id)
        assert again.title == "Another title"
        assert nodes[-1].startswith("na")
    assert near.instructor_name == whole.instructor_name != ""
    wait_copied(engines)
    async with platform.session(Region.EUROPE) as session:
        assert (await session.get_one(Course, campus.course_id)).title == "Another title"
        with pytest.raises(CopiedRow, match="south_america"):
            await session.execute(
                update(Course).values(title="Mine"), execution_options={"region": "europe"}
            )


async def test_ratings_are_the_worlds(platform: Platform, engines: Engines) -> None:
    campus = make_campus(engines, HOME)
    wait_copied(engines)
    reviewed = []
    for region, rating in [(HOME, 5), (Region.EUROPE, 2), (Region.AFRICA, 2), (Region.ASIA, 4)]:
        enrolled = await enroll(platform, student(engines, region), campus.course_id)
        with RoutingSession(engines=engines, region=region) as writer, bound(writer):
            enrollment = writer.get_one(Enrollment, enrolled.enrollment_id)
            review = CourseReviewFactory.create(
                enrollment=enrollment,
                course=writer.get_one(Course, campus.course_id),
                rating=rating,
            )
            reviewed.append((region, review.id))
            writer.commit()
    wait_copied(engines)
    for region in (HOME, Region.EUROPE, Region.ASIA):
        async with platform.read_session(region) as reader:
            course = await reader.run_sync(get_course, campus.course_id)
            figures = await reader.run_sync(figures_of, campus.course_id)
        assert (course.rating_sum, course.total_ratings) == (13, 4)
        assert (str(figures.rating), figures.total_ratings, figures.enrollments) == ("3.25", 4, 4)
    for region, review_id in reviewed[1:]:
        async with platform.session(region) as session, session.begin():
            await session.execute(
                text("DELETE FROM course_reviews WHERE id = :id"), {"id": review_id}
            )
    wait_copied(engines)
    async with platform.read_session(Region.OCEANIA) as reader:
        course = await reader.run_sync(get_course, campus.course_id)
    assert (course.rating, course.total_ratings) == (Decimal(5), 1)
