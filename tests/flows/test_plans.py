"""Nothing reads a table from end to end: at 100,000 rows each statement goes by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, insert, select, text, update

from elearning.config import Settings
from elearning.crud import (
    complete_refund,
    create_refund,
    enroll_user,
    expire_enrollments,
    figures_of,
    find_claim,
    get_course,
    get_enrollment,
    get_user,
    get_user_by_email,
    pending_claims,
    prune_claims,
)
from elearning.errors import PaymentDeclined
from elearning.flows import (
    NewUser,
    Platform,
    SimulatedGateway,
    cancel_enrollment,
    change_email,
    claims,
    complete_lesson,
    deliver,
    enroll,
    join_waitlist,
    leave_waitlist,
    purchase,
    register,
    settle,
)
from elearning.flows import get_user_by_email as get_user_anywhere
from elearning.ids import new_id
from elearning.models import (
    ClaimResult,
    Course,
    CourseLesson,
    CourseReview,
    LessonType,
    OutboxMessage,
    PaymentMethod,
    User,
)
from tests.flows.crowd import BIG, crowded_shard, row_id, taken_by
from tests.flows.operations import OPERATIONS
from tests.flows.plans import Plans

pytestmark = pytest.mark.unmeasured

TIMES = 8
"""More than five: from then on a statement may have one plan for all values."""

Flow = Callable[[Platform, int], Awaitable[Any]]


@pytest.fixture(scope="module")
def crowd() -> Iterator[Settings]:
    with crowded_shard() as made:
        yield made


@pytest.fixture(scope="module")
def plans() -> Plans:
    return Plans()


@pytest.fixture(scope="module")
async def crowded(
    crowd: Settings, open_platform: Platform, settings: Settings, plans: Plans
) -> AsyncIterator[Platform]:
    # Not opened: Beanie stays bound to the MongoDB of all tests.
    platform = Platform(replace(crowd, mongodb=settings.mongodb), pool_size=1)
    plans.watch(platform.engines)
    yield platform
    await platform.close()


async def registers(platform: Platform, number: int) -> None:
    user = NewUser(region="europe", email=f"new{number}@example.com", first_name="N", last_name="N")
    user_id = await register(platform, user)
    async with platform.session("europe") as session:
        assert (await session.run_sync(get_user, user_id)).profile


async def is_found_by_email(platform: Platform, number: int) -> None:
    async with platform.session("europe") as session:
        found = await session.run_sync(get_user_by_email, f"user{number}@example.com")
    assert found
    assert found.profile


async def enrolls(platform: Platform, number: int) -> None:
    course_id = row_id("courses", taken_by(number + 1))
    enrolled = await enroll(platform, row_id("users", number), course_id)
    async with platform.session("europe") as session:
        enrollment = await session.run_sync(get_enrollment, enrolled.enrollment_id)
        assert enrollment.course_id == (await session.run_sync(get_course, course_id)).id


async def completes(platform: Platform, number: int) -> None:
    done = await complete_lesson(
        platform, row_id("enrollments", number), row_id("course_lessons", taken_by(number))
    )
    assert done.percentage == 100


async def buys(platform: Platform, number: int) -> None:
    user_id, course_id = row_id("users", number), row_id("courses", number)
    card = row_id("payment_methods", number)
    await purchase(platform, user_id, course_id, SimulatedGateway(), payment_method_id=card)


async def is_declined(platform: Platform, number: int) -> None:
    gateway = SimulatedGateway(limit=Decimal(1))
    with pytest.raises(PaymentDeclined):
        await purchase(platform, row_id("users", number), row_id("courses", number), gateway)


async def settles_again(platform: Platform, number: int) -> None:
    settled = await settle(platform, row_id("transactions", number), SimulatedGateway())
    assert settled == row_id("invoices", number)


async def delivers(platform: Platform, number: int) -> None:
    assert await deliver(platform, "eu", limit=3) == 3


async def refunds(platform: Platform, number: int) -> None:
    async with platform.session("europe") as session, session.begin():
        refund = await session.run_sync(create_refund, row_id("transactions", number))
        await session.run_sync(complete_refund, refund.id, f"r-{number}")


async def reviews(platform: Platform, number: int) -> None:
    async with platform.session("europe") as session, session.begin():
        mine = CourseReview.id == row_id("course_reviews", number)
        await session.execute(update(CourseReview).where(mine).values(rating=5))


async def teaches(platform: Platform, number: int) -> None:
    """Add a lesson to a course that a hundred people take, and archive the one before."""
    async with platform.session("europe") as session, session.begin():
        await session.execute(
            insert(CourseLesson).values(
                id=new_id("europe"),
                module_id=row_id("course_modules", number),
                position=2,
                title="L",
                lesson_type=LessonType.QUIZ,
            )
        )
        before = CourseLesson.id == row_id("course_lessons", number)
        await session.execute(update(CourseLesson).where(before).values(archived_at=text("now()")))


async def leaves(platform: Platform, number: int) -> None:
    """Delete a card, which has paid, and an account, which has not."""
    async with platform.session("europe") as session, session.begin():
        card = PaymentMethod.id == row_id("payment_methods", number)
        await session.execute(delete(PaymentMethod).where(card))
        newcomer = User(email=f"guest{number}@example.com", first_name="G", last_name="G")
        session.add(newcomer)
        await session.flush()
        await session.execute(delete(User).where(User.id == newcomer.id))


async def cancels(platform: Platform, number: int) -> None:
    await cancel_enrollment(platform, row_id("enrollments", number))
    await platform.background.finish()


async def waits(platform: Platform, number: int) -> None:
    """Wait for a course that is full, and have a place offered."""
    course_id, user_id = row_id("courses", 5_000 + number), row_id("users", number)
    full = update(Course).where(Course.id == course_id).values(max_enrollments=100)
    wider = update(Course).where(Course.id == course_id).values(max_enrollments=101)
    async with platform.session("europe") as session, session.begin():
        await session.execute(full)
    assert await join_waitlist(platform, user_id, course_id) == 1
    assert await leave_waitlist(platform, user_id, course_id)
    assert await join_waitlist(platform, user_id, course_id) == 1
    async with platform.session("europe") as session, session.begin():
        await session.execute(wider)
        message = select(OutboxMessage).order_by(OutboxMessage.id.desc()).limit(1)
        (offered,) = (await session.scalars(message)).all()
        claim_id = UUID(offered.payload["claim_id"])
        await session.run_sync(enroll_user, user_id, course_id, claim_id=claim_id, offered=True)
    held = await platform.on_primary("eu", find_claim, claim_id)
    assert held is not None
    assert await claims.settle(platform, held) is ClaimResult.USED


async def moves(platform: Platform, number: int) -> None:
    """Change an address, and find the account by it."""
    user_id, email = row_id("users", number), f"moved{number}@example.com"
    await change_email(platform, user_id, email)
    await platform.background.finish()
    found = await get_user_anywhere(platform, email)
    assert found is not None
    assert found.id == user_id


async def recovers(platform: Platform, number: int) -> None:
    assert number
    async with platform.session("europe") as session, session.begin():
        await session.run_sync(expire_enrollments)
    await platform.on_primary("eu", pending_claims, age=60, limit=100)
    await platform.on_primary("eu", prune_claims)
    async with platform.session("europe") as session:
        await session.run_sync(figures_of, row_id("courses", number))


READS: dict[Flow, set[str]] = {
    registers: {"users", "user_profiles", "outbox"},
    is_found_by_email: {"users", "user_profiles"},
    enrolls: {"users", "courses", "course_modules", "course_lessons", "enrollments"},
    completes: {"enrollments", "lesson_progress"},
    buys: {"users", "courses", "payment_methods", "transactions", "invoices"},
    is_declined: {"transactions"},
    settles_again: {"transactions", "invoices"},
    delivers: {"outbox"},
    refunds: {"transactions"},
    reviews: {"course_reviews", "courses"},
    teaches: {"course_lessons", "course_modules", "courses", "enrollments", "lesson_progress"},
    cancels: {"enrollments", "claims", "claim_outcomes", "course_seats", "waitlist"},
    waits: {"waitlist", "claims", "claim_outcomes", "course_seats", "enrollments", "users"},
    moves: {"users", "claims", "claim_outcomes"},
    recovers: {"enrollments", "claims", "claim_outcomes"},
    leaves: {"users", "user_profiles", "enrollments", "payment_methods", "transactions", "courses"},
} | OPERATIONS
"""The flows and operations, and tables that each must be seen to touch."""


@pytest.mark.parametrize("flow", READS, ids=lambda flow: flow.__name__)
async def test_a_flow_reads_by_indexes(crowded: Platform, plans: Plans, flow: Flow) -> None:
    first = 100 * (1 + list(READS).index(flow))
    plans.seen.clear()
    for number in range(first, first + TIMES):
        await flow(crowded, number)
    assert plans.read_whole(BIG) == set()
    assert plans.tables() >= READS[flow]


async def test_a_statement_without_index_is_seen(crowded: Platform, plans: Plans) -> None:
    plans.seen.clear()
    async with crowded.session("europe") as session:
        await session.execute(select(User.id).where(User.first_name == "Bob"))
    assert [each.split(":")[0] for each in plans.read_whole(BIG)] == ["Seq Scan on users"]


async def test_a_nested_statement_without_index_is_seen(crowded: Platform, plans: Plans) -> None:
    await crowded.engines.close_async()  # its connection has plans already
    plans.seen.clear()
    async with crowded.session("europe") as session:
        for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
            await session.execute(text(f"SET LOCAL enable_{kind} = off"))
        await session.run_sync(enroll_user, row_id("users", 1), row_id("courses", taken_by(2)))
        await session.rollback()
    found = "\n".join(plans.read_whole(BIG))
    # In the routine, in triggers of what it writes, and in checks of foreign keys.
    assert "Seq Scan on enrollments: SELECT array_agg(DISTINCT course_id)" in found
    assert "Seq Scan on enrollments: UPDATE enrollments AS e" in found
    assert "Seq Scan on course_lessons: SELECT 1 FROM ONLY" in found
