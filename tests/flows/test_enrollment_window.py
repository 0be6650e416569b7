"""A course may take enrollments from one moment to another."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Interval, cast, func, update

from elearning.crud import enroll_user
from elearning.errors import EnrollmentClosed
from elearning.flows import Platform, enroll
from elearning.models import Enrollment, EnrollmentStatus
from tests.flows.conftest import Campus
from tests.flows.test_enrollment import set_course
from tests.snapshots import Snapshot


def later(interval: str | None) -> Any:
    """Return SQL for a moment so much later than now."""
    return None if interval is None else func.now() + cast(interval, Interval)


@pytest.mark.parametrize(
    ("opens", "closes", "told"),
    [
        ("1 day", None, r"from 2\d{3}-.* to its end, and not now"),
        ("1 day", "2 days", r"from 2\d{3}-.* to 2\d{3}-.*, and not now"),
        (None, "-1 day", r"from its publication to 2\d{3}-.*, and not now"),
        ("-2 days", "-1 second", r"from 2\d{3}-.* to 2\d{3}-.*, and not now"),
    ],
    ids=["before", "before a window", "after", "after a window"],
)
async def test_a_course_at_another_time(
    platform: Platform,
    campus: Campus,
    snapshot: Snapshot,
    opens: str | None,
    closes: str | None,
    told: str,
) -> None:
    await set_course(
        platform, campus, enrollment_opens_at=later(opens), enrollment_closes_at=later(closes)
    )
    before = snapshot()
    with pytest.raises(EnrollmentClosed, match=f"{campus.course_id} takes enrollments {told}"):
        await enroll(platform, campus.user_id, campus.course_id)
    async with platform.session(campus.region) as session:
        with pytest.raises(EnrollmentClosed):
            await session.run_sync(enroll_user, campus.user_id, campus.course_id)
    assert snapshot() == before


async def test_a_dropped_enrollment_is_not_taken_up_again_at_another_time(
    platform: Platform, campus: Campus, snapshot: Snapshot
) -> None:
    await enroll(platform, campus.user_id, campus.course_id)
    async with platform.session(campus.region) as session, session.begin():
        await session.execute(update(Enrollment).values(status=EnrollmentStatus.DROPPED))
    await set_course(platform, campus, enrollment_closes_at=later("-1 second"))
    before = snapshot()
    with pytest.raises(EnrollmentClosed):
        await enroll(platform, campus.user_id, campus.course_id)
    assert snapshot() == before


@pytest.mark.parametrize(("opens", "closes"), [("-1 day", "1 day"), ("-1 second", None)])
async def test_a_course_at_its_time(
    platform: Platform, campus: Campus, opens: str | None, closes: str | None
) -> None:
    await set_course(
        platform, campus, enrollment_opens_at=later(opens), enrollment_closes_at=later(closes)
    )
    assert (await enroll(platform, campus.user_id, campus.course_id)).curriculum
