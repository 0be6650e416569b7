from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from elearning.crud import get_enrollment
from elearning.errors import (
    ElearningError,
    EnrollmentNotActive,
    EnrollmentNotFound,
    InvalidAmount,
    InvalidId,
    LessonNotFound,
)
from elearning.flows import Platform, complete_lesson, enroll
from elearning.ids import new_id
from elearning.models import Enrollment, EnrollmentStatus, LessonProgress
from elearning.regions import Region
from elearning.routing import Engines
from tests.flows.conftest import Campus, make_campus
from tests.snapshots import Snapshot


@pytest.fixture
async def enrollment_id(platform: Platform, campus: Campus) -> UUID:
    return (await enroll(platform, campus.user_id, campus.course_id)).enrollment_id


async def test_progress_in_every_region(
    platform: Platform, engines: Engines, region: Region
) -> None:
    campus = make_campus(engines, region)
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    seen = [
        await complete_lesson(platform, enrolled.enrollment_id, lesson, time_spent=90)
        for lesson in campus.lesson_ids
    ]
    assert [each.percentage for each in seen] == [
        Decimal("33.33"),
        Decimal("66.67"),
        Decimal("100.00"),
    ]
    assert [each.status for each in seen] == [
        EnrollmentStatus.ACTIVE,
        EnrollmentStatus.ACTIVE,
        EnrollmentStatus.COMPLETED,
    ]
    assert seen[-1].completion_date is not None
    async with platform.session(region, consistency="primary") as session:
        enrollment = await session.run_sync(get_enrollment, enrolled.enrollment_id)
    assert enrollment.last_accessed is not None
    assert enrollment.progress_percentage == 100


async def test_time_adds_up_and_the_first_completion_counts(
    platform: Platform, campus: Campus, enrollment_id: UUID
) -> None:
    lesson = campus.lesson_ids[0]
    await complete_lesson(platform, enrollment_id, lesson, time_spent=60)
    row = select(LessonProgress).where(
        LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson
    )
    async with platform.session(campus.region, consistency="primary") as session:
        first = (await session.scalars(row)).one()
    again = await complete_lesson(platform, enrollment_id, lesson, time_spent=30)
    async with platform.session(campus.region, consistency="primary") as session:
        second = (await session.scalars(row)).one()
    assert (first.time_spent, second.time_spent) == (60, 90)
    assert first.completion_date == second.completion_date
    assert again.completed_lessons == 1


async def test_time_does_not_overflow(
    platform: Platform, campus: Campus, enrollment_id: UUID
) -> None:
    most = 2**31 - 1
    for _ in range(2):
        await complete_lesson(platform, enrollment_id, campus.lesson_ids[0], time_spent=most)
    async with platform.session(campus.region, consistency="primary") as session:
        spent = await session.scalar(
            select(LessonProgress.time_spent).where(LessonProgress.time_spent > 0)
        )
    assert spent == most


async def test_lessons_completed_at_once(
    platform: Platform, campus: Campus, enrollment_id: UUID
) -> None:
    seen = await asyncio.gather(
        *(complete_lesson(platform, enrollment_id, lesson) for lesson in campus.lesson_ids)
    )
    assert sorted(each.completed_lessons for each in seen) == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"lesson_id": new_id("europe")}, LessonNotFound),
        ({"lesson_id": uuid4()}, InvalidId),
        ({"enrollment_id": new_id("europe")}, EnrollmentNotFound),
        ({"enrollment_id": new_id("asia")}, EnrollmentNotFound),
        ({"enrollment_id": "x"}, InvalidId),
        ({"time_spent": -1}, InvalidAmount),
        ({"time_spent": 2**31}, InvalidAmount),
        ({"time_spent": 1.5}, InvalidAmount),
        pytest.param({"time_spent": 10**5000}, InvalidAmount, id="huge"),
        ({"time_spent": True}, InvalidAmount),
    ],
)
async def test_wrong_input_changes_nothing(
    platform: Platform,
    campus: Campus,
    enrollment_id: UUID,
    snapshot: Snapshot,
    changes: dict[str, Any],
    error: type[ElearningError],
) -> None:
    before = snapshot()
    arguments: dict[str, Any] = {
        "enrollment_id": enrollment_id,
        "lesson_id": campus.lesson_ids[0],
        "time_spent": 5,
    }
    with pytest.raises(error):
        await complete_lesson(platform, **arguments | changes)
    assert snapshot() == before


@pytest.mark.parametrize("status", [EnrollmentStatus.DROPPED, EnrollmentStatus.EXPIRED])
async def test_an_enrollment_that_is_over(
    platform: Platform,
    campus: Campus,
    enrollment_id: UUID,
    snapshot: Snapshot,
    status: EnrollmentStatus,
) -> None:
    async with platform.session(campus.region) as session, session.begin():
        await session.execute(update(Enrollment).values(status=status))
    before = snapshot()
    with pytest.raises(EnrollmentNotActive, match=f"{enrollment_id} is {status}"):
        await complete_lesson(platform, enrollment_id, campus.lesson_ids[0])
    assert snapshot() == before
