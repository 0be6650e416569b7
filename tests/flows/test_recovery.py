"""What is cut off after any step ends as docs/claims.md says, by whoever recovers, and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import func, select, text, update

from elearning import crud
from elearning.config import Settings
from elearning.crud import HeldClaim
from elearning.errors import ClaimReleased, ClaimTooOld, CourseFull, CourseNotOpen, InvalidInput
from elearning.flows import (
    Platform,
    cancel_enrollment,
    claims,
    enroll,
    join_waitlist,
    keep_recovering,
    recover,
)
from elearning.ids import created_at_of, new_id
from elearning.models import (
    Claim,
    ClaimKind,
    ClaimOutcome,
    ClaimStatus,
    Course,
    CourseSeats,
    Enrollment,
    OutboxMessage,
)
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.copies import wait_copied
from elearning.testing.databases import wait_fit
from elearning.testing.factories import UserFactory, bound
from elearning.testing.switches import Switches
from tests.flows.conftest import make_campus
from tests.snapshots import connect


@dataclass
class Journey:
    """Students of Asia and a European course of one seat."""

    platform: Platform
    course_id: UUID
    students: Sequence[UUID]

    @property
    def student(self) -> UUID:
        return self.students[0]

    async def claim(self) -> HeldClaim:
        return await claims.claim_seat(self.platform, new_id("asia"), self.course_id, self.student)

    async def state(self) -> tuple[str, str, int, str]:
        """Return claim and seats there, outcome and enrollment here."""
        there = self.platform.read_session(Region.EUROPE, consistency="primary")
        here = self.platform.read_session(Region.ASIA, consistency="primary")
        async with there, here:
            claim = await there.scalar(
                select(Claim.status)
                .where(Claim.holder_id == self.student, Claim.kind == ClaimKind.SEAT)
                .order_by(Claim.created_at.desc())
            )
            taken = await there.scalar(select(CourseSeats.taken))
            outcome = await here.scalar(
                select(ClaimOutcome.outcome)
                .where(ClaimOutcome.holder_id == self.student, ClaimOutcome.kind == ClaimKind.SEAT)
                .order_by(ClaimOutcome.decided_at.desc())
            )
            status = await here.scalar(
                select(Enrollment.status).where(Enrollment.user_id == self.student)
            )
        return (claim or "none", outcome or "none", taken or 0, status or "none")


@pytest_asyncio.fixture
async def journey(platform: Platform, engines: Engines) -> Journey:
    course_id = make_campus(engines, Region.EUROPE, max_enrollments=1).course_id
    with RoutingSession(engines=engines, region=Region.ASIA) as session, bound(session):
        students = [user.id for user in UserFactory.create_batch(3, region=Region.ASIA)]
        session.commit()
    wait_copied(engines)
    assert (await recover(platform)).problems == []  # their addresses
    return Journey(platform, course_id, students)


async def claimed(journey: Journey) -> None:
    await journey.claim()


async def used(journey: Journey) -> None:
    await claims.use_seat(journey.platform, await journey.claim())


async def confirmed(journey: Journey) -> None:
    claim = await journey.claim()
    await claims.use_seat(journey.platform, claim)
    await claims.confirm(journey.platform, claim)


async def half_settled(journey: Journey) -> None:
    await claims.decide(journey.platform, await journey.claim())


async def settled(journey: Journey) -> None:
    await claims.settle(journey.platform, await journey.claim())


async def given_back(journey: Journey) -> None:
    await confirmed(journey)
    async with journey.platform.session(Region.ASIA) as session, session.begin():
        enrollment_id = await session.scalar(select(Enrollment.id))
        assert enrollment_id is not None
        await session.run_sync(crud.cancel_enrollment, enrollment_id)


async def delivered_twice(journey: Journey) -> None:
    await given_back(journey)
    async with journey.platform.session(Region.ASIA) as session:
        message = (await session.scalars(select(OutboxMessage))).one()
    await journey.platform.on_primary("eu", crud.release_claim, UUID(message.payload["claim_id"]))


RELEASED = ("released", "released", 0, "none")
LIVE = ("confirmed", "used", 1, "active")
POINTS = [
    (claimed, ("pending", "none", 1, "none"), RELEASED),
    (used, ("pending", "used", 1, "active"), LIVE),
    (confirmed, LIVE, LIVE),
    (half_settled, ("pending", "released", 1, "none"), RELEASED),
    (settled, RELEASED, RELEASED),
    (given_back, ("confirmed", "released", 1, "dropped"), ("released", "released", 0, "dropped")),
    (
        delivered_twice,
        ("released", "released", 0, "dropped"),
        ("released", "released", 0, "dropped"),
    ),
]


@pytest.mark.parametrize(("until", "before", "after"), POINTS, ids=[p[0].__name__ for p in POINTS])
async def test_cut_off(
    journey: Journey,
    until: Callable[[Journey], Awaitable[None]],
    before: tuple[str, str, int, str],
    after: tuple[str, str, int, str],
) -> None:
    await until(journey)
    assert await journey.state() == before
    # Several at once, and once more.
    for done in await asyncio.gather(*(recover(journey.platform, age=0) for _ in range(3))):
        assert done.problems == []
    assert await journey.state() == after
    await recover(journey.platform, age=0)
    assert await journey.state() == after
    async with journey.platform.session(Region.ASIA) as session:
        assert await session.scalar(select(func.count()).select_from(OutboxMessage)) == 0


async def test_a_young_claim_is_left_alone(journey: Journey) -> None:
    claim = await journey.claim()
    assert (await recover(journey.platform)).settled == 0
    await claims.use_seat(journey.platform, claim)
    assert (await recover(journey.platform, age=0)).settled == 1


async def test_who_comes_late_does_not_get_a_seat_that_was_given_away(journey: Journey) -> None:
    late = await journey.claim()
    await recover(journey.platform, age=0)
    await enroll(journey.platform, journey.students[1], journey.course_id)
    with pytest.raises(ClaimReleased):
        await claims.use_seat(journey.platform, late)
    again = await claims.claim_seat(journey.platform, late.id, journey.course_id, journey.student)
    assert again.status is ClaimStatus.RELEASED, "its row was kept"
    await journey.platform.background.finish()
    assert (await journey.state())[1:] == ("released", 1, "none")


async def test_a_claim_of_an_hour_ago_is_refused(journey: Journey) -> None:
    old = new_id("asia")
    stamp = created_at_of(old).timestamp() - 3601
    old = UUID(int=(int(stamp * 1000) << 80) | (old.int & (1 << 80) - 1))
    with pytest.raises(ClaimTooOld, match=str(old)):
        await claims.claim_seat(journey.platform, old, journey.course_id, journey.student)
    held = HeldClaim(
        old, ClaimKind.SEAT, journey.course_id.bytes, journey.student, ClaimStatus.PENDING
    )
    with pytest.raises(ClaimTooOld):
        await claims.use_seat(journey.platform, held)


async def test_asked_again_after_the_answer_was_lost(journey: Journey) -> None:
    claim = await journey.claim()
    first = await claims.use_seat(journey.platform, claim)
    assert await claims.use_seat(journey.platform, claim) == first
    again = await claims.claim_seat(journey.platform, claim.id, journey.course_id, journey.student)
    assert again == claim
    assert (await journey.state())[2] == 1


async def test_two_processes_enroll_one_user(journey: Journey) -> None:
    results = await asyncio.gather(
        *(enroll(journey.platform, journey.student, journey.course_id) for _ in range(6)),
        return_exceptions=True,
    )
    await journey.platform.background.finish()
    assert any(not isinstance(each, BaseException) for each in results)
    assert not [each for each in results if isinstance(each, CourseFull)]
    await recover(journey.platform, age=0)
    assert await journey.state() == LIVE


async def test_an_offer_waits_for_a_shard_that_is_down(
    journey: Journey, switches: Switches, engines: Engines
) -> None:
    platform = journey.platform
    with RoutingSession(engines=engines, region=Region.EUROPE) as session, bound(session):
        holder = UserFactory.create(region=Region.EUROPE).id
        session.commit()
    enrolled = await enroll(platform, holder, journey.course_id)
    await join_waitlist(platform, journey.student, journey.course_id)
    switches.kill("asia-primary")
    await cancel_enrollment(platform, enrolled.enrollment_id)
    await platform.background.finish()
    done = await recover(platform, age=0)
    assert any("asia-primary" in problem for problem in done.problems)
    switches.restart("asia-primary")
    wait_fit(platform.engines)
    done = await recover(platform, age=0)
    assert done.problems == []
    assert await journey.state() == LIVE


async def test_people_who_were_in_before_there_was_a_limit(
    platform: Platform, engines: Engines
) -> None:
    campus = make_campus(engines, Region.EUROPE)
    wait_copied(engines)
    people = [campus.user_id]
    for region in (Region.ASIA, Region.SOUTH_AMERICA):
        with RoutingSession(engines=engines, region=region) as writer, bound(writer):
            people.append(UserFactory.create(region=region).id)
            writer.commit()
    for user_id in people[:2]:
        await enroll(platform, user_id, campus.course_id)
    async with platform.session(Region.EUROPE) as session, session.begin():
        await session.execute(update(Course).values(max_enrollments=2))
    wait_copied(engines)
    done = await recover(platform)
    assert done.problems == []
    # Seats, and the addresses that the factories made, the instructor's too.
    assert done.adopted == 2 + len(people) + 1
    with pytest.raises(CourseFull):
        await enroll(platform, people[2], campus.course_id)
    assert (await recover(platform)).adopted == 0


async def test_what_was_released_is_forgotten_after_a_day(
    journey: Journey, settings: Settings
) -> None:
    await settled(journey)
    assert (await recover(journey.platform, age=0)).pruned == 0
    for shard, table, column in [
        ("eu", "claims", "settled_at"),
        ("asia", "claim_outcomes", "decided_at"),
    ]:
        with connect(settings.shard(shard).owner_url) as owner:
            owner.execute(f"UPDATE {table} SET {column} = {column} - interval '25 hours'")
    assert (await recover(journey.platform, age=0)).pruned == 2
    assert (await journey.state())[:3] == ("none", "none", 0)


async def test_a_task_keeps_recovering(journey: Journey) -> None:
    await used(journey)
    async with journey.platform.session(Region.EUROPE) as session:
        moved = text("UPDATE claims SET created_at = created_at - interval '2 minutes'")
        with connect(journey.platform.settings.shard("eu").owner_url) as owner:
            owner.execute(moved.text)
        task = asyncio.create_task(keep_recovering(journey.platform, every=0.05))
        async with asyncio.timeout(20):
            while await journey.state() != LIVE:
                await session.execute(text("SELECT pg_sleep(0.05)"))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_promoted_replica_lacked_the_claims(journey: Journey, settings: Settings) -> None:
    """As after a promotion: the last commits of the course's home are lost."""
    await confirmed(journey)
    with connect(settings.shard("eu").owner_url) as owner:
        owner.execute("DELETE FROM claims WHERE kind = 'seat'; UPDATE course_seats SET taken = 0")
    assert (await recover(journey.platform, age=0)).problems == []
    assert await journey.state() == LIVE
    with pytest.raises(CourseFull):
        await enroll(journey.platform, journey.students[1], journey.course_id)
    done = await recover(journey.platform, age=0)
    assert (done.adopted, done.settled, done.problems) == (0, 0, [])


async def test_a_promoted_replica_lacked_the_outcomes(journey: Journey, settings: Settings) -> None:
    """As after a promotion: the last commits of the users' shard are lost."""
    await confirmed(journey)
    with connect(settings.shard("asia").owner_url) as owner:
        owner.execute(
            "SET session_replication_role = replica;"
            "DELETE FROM lesson_progress; DELETE FROM enrollments;"
            "DELETE FROM claim_outcomes WHERE kind = 'seat'"
        )
    done = await recover(journey.platform, age=0)
    assert (done.settled, done.problems) == (1, [])
    assert await journey.state() == RELEASED
    await enroll(journey.platform, journey.students[1], journey.course_id)
    await journey.platform.background.finish()


async def test_an_offer_is_taken_up_once_however_late(
    journey: Journey, engines: Engines, settings: Settings
) -> None:
    """It was used, its home went down, the person cancelled, and more than a day went by."""
    platform = journey.platform
    with RoutingSession(engines=engines, region=Region.EUROPE) as session, bound(session):
        holder = UserFactory.create(region=Region.EUROPE).id
        session.commit()
    enrolled = await enroll(platform, holder, journey.course_id)
    await join_waitlist(platform, journey.student, journey.course_id)
    async with platform.session(Region.EUROPE) as writer, writer.begin():
        await writer.run_sync(crud.cancel_enrollment, enrolled.enrollment_id)
    (offer,) = await platform.on_primary("eu", crud.pending_claims, age=0, limit=9)
    assert offer.offered
    taken_up = await claims.use_seat(platform, offer)
    async with platform.session(Region.ASIA) as writer, writer.begin():
        await writer.run_sync(crud.cancel_enrollment, taken_up)
    with connect(settings.shard("asia").owner_url) as owner:
        owner.execute("UPDATE claim_outcomes SET decided_at = decided_at - interval '25 hours'")
    await platform.on_primary("asia", crud.prune_claims)
    assert (await recover(platform, age=0)).problems == []
    assert await journey.state() == ("released", "released", 0, "dropped")


async def test_whoever_was_offered_a_seat_long_ago_may_ask_for_it(
    journey: Journey, engines: Engines, settings: Settings
) -> None:
    platform = journey.platform
    with RoutingSession(engines=engines, region=Region.EUROPE) as session, bound(session):
        holder = UserFactory.create(region=Region.EUROPE).id
        session.commit()
    enrolled = await enroll(platform, holder, journey.course_id)
    await join_waitlist(platform, journey.student, journey.course_id)
    async with platform.session(Region.EUROPE) as writer, writer.begin():
        await writer.run_sync(crud.cancel_enrollment, enrolled.enrollment_id)
    old = UUID(bytes=bytes(6) + new_id("asia").bytes[6:])
    with connect(settings.shard("eu").owner_url) as owner:
        owner.execute("UPDATE claims SET id = %s WHERE status = 'pending'", [old])
    await enroll(platform, journey.student, journey.course_id)
    await platform.background.finish()
    assert (await journey.state())[1:] == ("used", 1, "active")


async def test_an_age_is_a_number_of_seconds(platform: Platform) -> None:
    for age in (-1, float("nan"), float("inf"), "x", True):
        with pytest.raises(InvalidInput, match="expected seconds"):
            await recover(platform, age=age)  # type: ignore[arg-type]


async def test_addresses_are_claimed_by_several_at_once(
    platform: Platform, engines: Engines
) -> None:
    for region in (Region.EUROPE, Region.ASIA):
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            UserFactory.create_batch(12, region=region)
            session.commit()
    for done in await asyncio.gather(*(recover(platform) for _ in range(3))):
        assert done.problems == []
    assert (await recover(platform)).adopted == 0


async def test_enrolled_again_before_the_seat_was_given_back(journey: Journey) -> None:
    """The message is still in the outbox: the old claim is settled first."""
    await given_back(journey)
    await enroll(journey.platform, journey.student, journey.course_id)
    await journey.platform.background.finish()
    assert await journey.state() == LIVE
    assert (await recover(journey.platform, age=0)).problems == []
    assert await journey.state() == LIVE


async def test_enrolled_after_recovery_had_decided_and_not_released(journey: Journey) -> None:
    await half_settled(journey)
    await enroll(journey.platform, journey.student, journey.course_id)
    await journey.platform.background.finish()
    assert await journey.state() == LIVE


async def test_the_same_at_home(journey: Journey, engines: Engines) -> None:
    with RoutingSession(engines=engines, region=Region.AFRICA) as session, bound(session):
        student = UserFactory.create(region=Region.AFRICA).id
        session.commit()
    claim = await claims.claim_seat(journey.platform, new_id("africa"), journey.course_id, student)
    await claims.decide(journey.platform, claim)
    await enroll(journey.platform, student, journey.course_id)
    assert (await recover(journey.platform, age=0)).problems == []
    async with journey.platform.read_session(Region.EUROPE, consistency="primary") as reader:
        assert await reader.scalar(select(CourseSeats.taken)) == 1
        assert await reader.scalar(select(Enrollment.status)) == "active"


async def test_a_claim_that_is_refused_later_is_given_back(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The course was archived, say, between the two steps."""

    async def refused(*_: object, **__: object) -> UUID:
        raise CourseNotOpen(course_id=journey.course_id, status="archived")

    with monkeypatch.context() as patch:
        patch.setattr("elearning.flows.claims.use_seat", refused)
        with pytest.raises(CourseNotOpen):
            await enroll(journey.platform, journey.student, journey.course_id)
        await journey.platform.background.finish()
    assert await journey.state() == RELEASED


async def test_others_that_keep_settling_a_claim(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def settled_before(platform: Platform, claim: HeldClaim, **_: object) -> UUID:
        await claims.settle(platform, claim)
        raise ClaimReleased(claim_id=claim.id)

    monkeypatch.setattr("elearning.flows.claims.use_seat", settled_before)
    with pytest.raises(ClaimReleased):
        await enroll(journey.platform, journey.student, journey.course_id)
    assert (await journey.state())[1:] == ("released", 0, "none")
