"""The life of an enrollment: each edge between its states, by the flows, near and abroad."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from elearning.config import Settings
from elearning.crud import get_enrollment, set_status
from elearning.errors import (
    AccountNotActive,
    AlreadyEnrolled,
    CourseFull,
    EnrollmentNotActive,
    EnrollmentNotFound,
    InvalidId,
    PrerequisitesMissing,
    SeatsFree,
    UserNotFound,
)
from elearning.flows import (
    Platform,
    SimulatedGateway,
    cancel_enrollment,
    complete_lesson,
    enroll,
    join_waitlist,
    leave_waitlist,
    purchase,
    recover,
)
from elearning.ids import new_id, region_of
from elearning.models import (
    Course,
    CoursePrerequisite,
    CourseSeats,
    CourseStatus,
    Enrollment,
    EnrollmentStatus,
    User,
)
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.copies import wait_copied
from elearning.testing.factories import UserFactory, bound
from tests.flows.conftest import Campus, copying_stopped, make_campus

ACTIVE, DROPPED = EnrollmentStatus.ACTIVE, EnrollmentStatus.DROPPED
COMPLETED, EXPIRED = EnrollmentStatus.COMPLETED, EnrollmentStatus.EXPIRED
PLACES = [Region.AFRICA, Region.OCEANIA]  # of the course's shard, and of another one


async def status_of(platform: Platform, enrollment_id: UUID) -> EnrollmentStatus:
    async with platform.read_session(consistency="primary") as session:
        return (await session.run_sync(get_enrollment, enrollment_id)).status


async def enrollment_of(platform: Platform, user_id: UUID, course_id: UUID) -> Enrollment | None:
    async with platform.read_session(consistency="primary") as session:
        return (
            await session.scalars(
                select(Enrollment).where(
                    Enrollment.user_id == user_id, Enrollment.course_id == course_id
                )
            )
        ).one_or_none()


async def taken(platform: Platform, course_id: UUID) -> int:
    async with platform.read_session(region_of(course_id), consistency="primary") as session:
        return (
            await session.scalar(
                select(CourseSeats.taken).where(CourseSeats.course_id == course_id)
            )
            or 0
        )


def users(engines: Engines, region: Region, number: int) -> Sequence[UUID]:
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        found = [user.id for user in UserFactory.create_batch(number, region=region)]
        session.commit()
    return found


def limited(engines: Engines, seats: int | None) -> Campus:
    campus = make_campus(engines, Region.EUROPE, max_enrollments=seats)
    wait_copied(engines)
    return campus


async def change_course(platform: Platform, course_id: UUID, **values: object) -> None:
    async with platform.session(region_of(course_id)) as session, session.begin():
        await session.execute(update(Course).where(Course.id == course_id).values(**values))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("seats", [None, 3])
async def test_cancelled_and_taken_up_again_with_its_progress(
    platform: Platform, engines: Engines, place: Region, seats: int | None
) -> None:
    campus = limited(engines, seats)
    (user_id,) = users(engines, place, 1)
    first = await enroll(platform, user_id, campus.course_id)
    await complete_lesson(platform, first.enrollment_id, campus.lesson_ids[0])
    await cancel_enrollment(platform, first.enrollment_id)
    await platform.background.finish()
    assert await status_of(platform, first.enrollment_id) is DROPPED
    assert await taken(platform, campus.course_id) == 0
    again = await enroll(platform, user_id, campus.course_id)
    assert again.enrollment_id == first.enrollment_id
    found = await enrollment_of(platform, user_id, campus.course_id)
    assert found is not None
    assert (found.status, found.completed_lessons) == (ACTIVE, 1)
    assert await taken(platform, campus.course_id) == (1 if seats else 0)


@pytest.mark.parametrize("place", PLACES)
async def test_a_completed_enrollment_keeps_its_seat(
    platform: Platform, engines: Engines, place: Region
) -> None:
    campus = limited(engines, 1)
    user_id, other = users(engines, place, 2)
    enrolled = await enroll(platform, user_id, campus.course_id)
    for lesson_id in campus.lesson_ids:
        await complete_lesson(platform, enrolled.enrollment_id, lesson_id)
    assert await status_of(platform, enrolled.enrollment_id) is COMPLETED
    with pytest.raises(EnrollmentNotActive, match="is completed"):
        await cancel_enrollment(platform, enrolled.enrollment_id)
    with pytest.raises(CourseFull):
        await enroll(platform, other, campus.course_id)
    with pytest.raises(AlreadyEnrolled):
        await enroll(platform, user_id, campus.course_id)


@pytest.mark.parametrize("place", PLACES)
async def test_an_enrollment_expires_and_gives_its_seat_to_who_waits(
    platform: Platform, engines: Engines, place: Region
) -> None:
    campus = limited(engines, 1)
    await change_course(platform, campus.course_id, access_days=30)
    wait_copied(engines)
    user_id, other = users(engines, place, 2)
    enrolled = await enroll(platform, user_id, campus.course_id)
    found = await enrollment_of(platform, user_id, campus.course_id)
    assert found is not None
    assert found.expires_at is not None
    assert (found.expires_at - found.enrollment_date).days in {29, 30}
    assert await join_waitlist(platform, other, campus.course_id) == 1
    assert (await recover(platform)).expired == 0
    async with platform.session(place) as session, session.begin():
        await session.execute(
            update(Enrollment)
            .where(Enrollment.id == enrolled.enrollment_id)
            .values(expires_at=func.now())
        )
    done = await recover(platform)
    await platform.background.finish()
    assert (done.expired, done.problems) == (1, [])
    assert await status_of(platform, enrolled.enrollment_id) is EXPIRED
    promoted = await enrollment_of(platform, other, campus.course_id)
    assert promoted is not None
    assert promoted.status is ACTIVE
    assert await taken(platform, campus.course_id) == 1


@pytest.mark.parametrize("place", PLACES)
async def test_an_expired_enrollment_is_taken_up_again(
    platform: Platform, engines: Engines, place: Region
) -> None:
    campus = limited(engines, 1)
    (user_id,) = users(engines, place, 1)
    enrolled = await enroll(platform, user_id, campus.course_id)
    async with platform.session(place) as session, session.begin():
        await session.execute(update(Enrollment).values(expires_at=func.now()))
    assert (await recover(platform)).expired == 1
    assert await taken(platform, campus.course_id) == 0
    again = await enroll(platform, user_id, campus.course_id)
    assert again.enrollment_id == enrolled.enrollment_id
    found = await enrollment_of(platform, user_id, campus.course_id)
    assert found is not None
    assert (found.status, found.expires_at) == (ACTIVE, None)
    assert await taken(platform, campus.course_id) == 1


async def test_a_course_that_is_published_again_serves_who_waits(
    platform: Platform, engines: Engines, settings: Settings
) -> None:
    campus = limited(engines, 1)
    (user_id,) = users(engines, Region.ASIA, 1)
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    await join_waitlist(platform, user_id, campus.course_id)
    archived = {"status": CourseStatus.ARCHIVED, "archived_at": func.now()}
    await change_course(platform, campus.course_id, **archived)
    await cancel_enrollment(platform, enrolled.enrollment_id)
    await recover(platform)
    assert await enrollment_of(platform, user_id, campus.course_id) is None
    with copying_stopped(settings, "asia", "eu"):
        await change_course(platform, campus.course_id, status=CourseStatus.PUBLISHED)
        done = await recover(platform, age=0)
        assert any("has not been copied to shard asia yet" in each for each in done.problems)
    wait_copied(engines)
    assert (await recover(platform, age=0)).problems == []
    assert await enrollment_of(platform, user_id, campus.course_id) is not None


async def test_who_waits_comes_in_in_order_of_arrival_from_all_regions(
    platform: Platform, engines: Engines
) -> None:
    campus = limited(engines, 1)
    line = [users(engines, region, 1)[0] for region in Region]
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    for place, user_id in enumerate(line, start=1):
        assert await join_waitlist(platform, user_id, campus.course_id) == place
    assert await join_waitlist(platform, line[2], campus.course_id) == 3, "a place is kept"
    assert await leave_waitlist(platform, line[1], campus.course_id)
    assert not await leave_waitlist(platform, line[1], campus.course_id)
    enrollment_id = enrolled.enrollment_id
    for user_id in [line[0], *line[2:]]:
        await cancel_enrollment(platform, enrollment_id)
        await platform.background.finish()
        live = [
            each
            for each in line
            if (found := await enrollment_of(platform, each, campus.course_id))
            and found.status is ACTIVE
        ]
        assert live == [user_id]
        found = await enrollment_of(platform, user_id, campus.course_id)
        assert found is not None
        enrollment_id = found.id
    assert await enrollment_of(platform, line[1], campus.course_id) is None
    assert await taken(platform, campus.course_id) == 1


async def test_a_higher_limit_serves_who_waits(platform: Platform, engines: Engines) -> None:
    campus = limited(engines, 1)
    line = [*users(engines, Region.AFRICA, 1), *users(engines, Region.ASIA, 2)]
    await enroll(platform, campus.user_id, campus.course_id)
    for user_id in line:
        await join_waitlist(platform, user_id, campus.course_id)
    await change_course(platform, campus.course_id, max_enrollments=3)
    done = await recover(platform)
    assert done.problems == []
    states = [await enrollment_of(platform, user_id, campus.course_id) for user_id in line]
    assert [state is not None for state in states] == [True, True, False]
    assert await taken(platform, campus.course_id) == 3


@pytest.mark.parametrize("place", PLACES, ids=str)
async def test_who_is_suspended_takes_no_course(
    platform: Platform, engines: Engines, place: Region
) -> None:
    campus = limited(engines, 1)
    holder, suspended, next_one = users(engines, place, 3)
    enrolled = await enroll(platform, holder, campus.course_id)
    for user_id in (suspended, next_one):
        await join_waitlist(platform, user_id, campus.course_id)
    async with platform.session() as session, session.begin():
        await session.run_sync(set_status, suspended, "suspended")
    for attempt in (
        enroll(platform, suspended, campus.course_id),
        purchase(platform, suspended, campus.course_id, SimulatedGateway()),
    ):
        with pytest.raises(AccountNotActive, match=f"{suspended} is suspended"):
            await attempt
    # Nor is a seat kept for who was in the line before.
    await cancel_enrollment(platform, enrolled.enrollment_id)
    await recover(platform, age=0)
    await recover(platform, age=0)
    assert await enrollment_of(platform, suspended, campus.course_id) is None
    there = await enrollment_of(platform, next_one, campus.course_id)
    assert there is not None
    assert there.status is ACTIVE
    assert await taken(platform, campus.course_id) == 1


async def test_somebody_who_is_gone_is_passed_over(platform: Platform, engines: Engines) -> None:
    campus = limited(engines, 1)
    gone, next_one = users(engines, Region.ASIA, 2)
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    await join_waitlist(platform, gone, campus.course_id)
    await join_waitlist(platform, next_one, campus.course_id)
    async with platform.session(Region.ASIA) as session, session.begin():
        await session.delete(await session.get_one(User, gone))
    await cancel_enrollment(platform, enrolled.enrollment_id)
    await platform.background.finish()
    found = await enrollment_of(platform, next_one, campus.course_id)
    assert found is not None
    assert found.status is ACTIVE
    assert await taken(platform, campus.course_id) == 1


@pytest.mark.parametrize("place", PLACES)
async def test_the_line_is_for_full_courses(
    platform: Platform, engines: Engines, place: Region
) -> None:
    campus = limited(engines, 1)
    (user_id,) = users(engines, place, 1)
    with pytest.raises(SeatsFree):
        await join_waitlist(platform, user_id, campus.course_id)
    await enroll(platform, user_id, campus.course_id)
    with pytest.raises(AlreadyEnrolled):
        await join_waitlist(platform, user_id, campus.course_id)
    with pytest.raises(UserNotFound):
        await join_waitlist(platform, new_id(place), campus.course_id)


@pytest.mark.parametrize("place", PLACES)
async def test_what_comes_before(platform: Platform, engines: Engines, place: Region) -> None:
    first = make_campus(engines, Region.NORTH_AMERICA)
    then = limited(engines, 1)
    async with platform.session(Region.EUROPE) as session, session.begin():
        session.add(CoursePrerequisite(course_id=then.course_id, prerequisite_id=first.course_id))
    wait_copied(engines)
    (user_id,) = users(engines, place, 1)
    with pytest.raises(PrerequisitesMissing, match=str(first.course_id)):
        await enroll(platform, user_id, then.course_id)
    with pytest.raises(PrerequisitesMissing):
        await join_waitlist(platform, user_id, then.course_id)
    assert await taken(platform, then.course_id) == 0
    enrolled = await enroll(platform, user_id, first.course_id)
    with pytest.raises(PrerequisitesMissing):
        await enroll(platform, user_id, then.course_id)
    for lesson_id in first.lesson_ids:
        await complete_lesson(platform, enrolled.enrollment_id, lesson_id)
    await enroll(platform, user_id, then.course_id)
    assert await taken(platform, then.course_id) == 1


async def test_nothing_to_cancel(platform: Platform, campus: Campus) -> None:
    with pytest.raises(EnrollmentNotFound):
        await cancel_enrollment(platform, new_id(campus.region))
    with pytest.raises(InvalidId):
        await cancel_enrollment(platform, UUID(int=5))
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    await cancel_enrollment(platform, enrolled.enrollment_id)
    with pytest.raises(EnrollmentNotActive, match="is dropped"):
        await cancel_enrollment(platform, enrolled.enrollment_id)
