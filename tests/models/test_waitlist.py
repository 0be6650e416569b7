"""Who waits for a seat gets one in order of arrival, as soon as one is free."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from elearning.cluster.embedded.processes import wait_until
from elearning.config import Settings
from elearning.errors import (
    AlreadyEnrolled,
    ClaimReleased,
    CourseFull,
    CourseNotFound,
    CourseNotOpen,
    MisroutedRow,
    SeatsFree,
)
from elearning.ids import new_id
from elearning.models import Course
from elearning.routing import Engines, RoutingSession
from tests.models.seats import Seats, make_seats
from tests.snapshots import connect

FIRST, SECOND, THIRD = new_id("asia"), new_id("oceania"), new_id("asia")
"""Users of other shards."""


@pytest.fixture
def full(session: RoutingSession) -> Seats:
    """A course of one seat, which is taken."""
    seats = make_seats(session, 1)
    seats.claim(new_id("asia"))
    return seats


def join(seats: Seats, user_id: UUID) -> int:
    return int(seats.call("join_waitlist", seats.course_id, user_id))


def leave(seats: Seats, user_id: UUID) -> bool:
    return bool(seats.call("leave_waitlist", seats.course_id, user_id))


def offered(seats: Seats) -> list[UUID]:
    """Return to whom seats were offered, in that order."""
    rows = seats.session.execute(
        text(
            "SELECT holder_id FROM claims JOIN outbox ON payload ->> 'claim_id' = claims.id::text "
            "WHERE topic = 'seat_offered' AND offered ORDER BY outbox.id"
        )
    )
    return list(rows.scalars())


def test_join_waitlist(full: Seats) -> None:
    assert [join(full, user_id) for user_id in (FIRST, SECOND, THIRD)] == [1, 2, 3]
    # Again: the place is kept.
    assert join(full, FIRST) == 1
    assert full.line == [(FIRST, "waiting"), (SECOND, "waiting"), (THIRD, "waiting")]


def test_leave_waitlist(full: Seats) -> None:
    for user_id in (FIRST, SECOND):
        join(full, user_id)
    assert [leave(full, FIRST), leave(full, FIRST), leave(full, THIRD)] == [True, False, False]
    assert join(full, SECOND) == 1
    # Whoever comes back stands at the end.
    assert join(full, FIRST) == 2
    assert full.line == [(FIRST, "left"), (SECOND, "waiting"), (FIRST, "waiting")]


def test_join_waitlist_of_a_course_that_is_not_full(full: Seats) -> None:
    full.limit(2)
    with pytest.raises(SeatsFree), full.session.begin_nested():
        join(full, FIRST)
    full.limit(None)
    with pytest.raises(SeatsFree):
        join(full, FIRST)


def test_join_waitlist_with_a_seat(full: Seats) -> None:
    full.claim(FIRST, forced=True)
    with pytest.raises(AlreadyEnrolled, match="with a seat"):
        join(full, FIRST)


def test_join_waitlist_of_a_course_that_cannot_be_taken(full: Seats) -> None:
    with pytest.raises(CourseNotFound), full.session.begin_nested():
        full.call("join_waitlist", new_id("europe"), FIRST)
    full.session.execute(text("UPDATE courses SET status = 'draft'"))
    with pytest.raises(CourseNotOpen):
        join(full, FIRST)


def test_a_seat_that_comes_free_is_offered(session: RoutingSession) -> None:
    seats = make_seats(session, 1)
    enrollment_id = seats.enroll(seats.somebody())
    for user_id in (FIRST, SECOND):
        join(seats, user_id)
    seats.drop(enrollment_id)
    assert (seats.taken, offered(seats)) == (1, [FIRST])
    assert seats.line == [(FIRST, "offered"), (SECOND, "waiting")]
    # It is taken: whoever comes by does not get in before those who wait.
    with pytest.raises(CourseFull), session.begin_nested():
        seats.enroll(seats.somebody())
    # An offer that is not taken goes to the next one, and then to nobody.
    claim_id, status = seats.claim(FIRST)
    assert status == "pending"
    seats.call("release_claim", claim_id)
    assert (seats.taken, offered(seats)) == (1, [FIRST, SECOND])
    claim_id, _ = seats.claim(SECOND)
    seats.call("release_claim", claim_id)
    assert seats.taken == 0


def test_offer_new_seats_of_a_raised_limit(full: Seats) -> None:
    for user_id in (FIRST, SECOND, THIRD):
        join(full, user_id)
    full.limit(3)
    assert (full.taken, offered(full)) == (3, [FIRST, SECOND])
    full.limit(1)
    full.limit(3)
    assert (full.taken, offered(full)) == (3, [FIRST, SECOND])
    # No limit any more: everybody gets in.
    full.limit(None)
    assert (full.taken, offered(full)) == (4, [FIRST, SECOND, THIRD])


def test_offer_new_seats_to_nobody(full: Seats) -> None:
    full.limit(9)
    assert (full.taken, offered(full)) == (1, [])


def test_offer_new_seats_passes_over_who_has_one(full: Seats) -> None:
    for user_id in (FIRST, SECOND):
        join(full, user_id)
    full.claim(FIRST, forced=True)
    full.limit(3)
    assert (full.taken, offered(full)) == (3, [SECOND])
    # Whoever has got a seat otherwise waits no more.
    assert full.line == [(FIRST, "left"), (SECOND, "offered")]


def test_an_archived_course_offers_no_seats(full: Seats) -> None:
    join(full, FIRST)
    full.session.execute(text("UPDATE courses SET status = 'archived', archived_at = now()"))
    full.limit(2)
    assert (full.taken, offered(full), full.line) == (1, [], [(FIRST, "waiting")])


def test_an_offer_is_as_good_as_a_claim(session: RoutingSession) -> None:
    seats = make_seats(session, 1)
    enrollment_id, waiting = seats.enroll(seats.somebody()), seats.somebody()
    join(seats, waiting)
    seats.drop(enrollment_id)
    claim_id, _ = seats.claim(waiting)
    taken = seats.enroll(waiting)
    assert (seats.claim_of(taken), seats.status(claim_id)) == (claim_id, "confirmed")
    assert seats.taken == 1


def test_an_offer_may_be_older_than_an_hour(session: RoutingSession, settings: Settings) -> None:
    seats = make_seats(session, 1)
    user_id = seats.somebody()
    old = UUID(bytes=bytes(6) + new_id("europe").bytes[6:])
    session.commit()
    with connect(settings.shard("eu").owner_url) as owner:
        owner.execute(
            "INSERT INTO claims (id, kind, fact, holder_id, offered) "
            "VALUES (%s, 'seat', uuid_send(%s), %s, true)",
            [old, seats.course_id, user_id],
        )
    enrollment_id = seats.call("enroll_user", user_id, seats.course_id, old, True)
    assert seats.claim_of(enrollment_id) == old


def test_a_limit_that_is_raised_meanwhile_is_seen_by_who_joins(
    engines: Engines, full: Seats
) -> None:
    """Whoever waits for the seats' row reads the limit after that."""
    full.session.commit()
    with (
        ThreadPoolExecutor(1) as thread,
        RoutingSession(engines=engines, region="europe") as teacher,
        RoutingSession(engines=engines, region="europe") as waiting,
    ):
        teacher.execute(update(Course).values(max_enrollments=2))
        pid = waiting.scalar(text("SELECT pg_backend_pid()"))
        joined = thread.submit(waiting.scalar, select(func.join_waitlist(full.course_id, FIRST)))
        blocked = text("SELECT cardinality(pg_blocking_pids(:pid)) > 0")
        assert wait_until(lambda: bool(teacher.scalar(blocked, {"pid": pid})), 10)
        teacher.commit()
        with pytest.raises(SeatsFree):
            joined.result(10)


def test_seats_are_written_at_the_home_alone(session: RoutingSession) -> None:
    for routine in (
        func.claim_seat(new_id("europe"), new_id("asia"), FIRST),
        func.join_waitlist(new_id("asia"), FIRST),
    ):
        with pytest.raises(MisroutedRow, match="region code 5"):
            session.scalar(select(routine))
        session.rollback()


def test_a_claim_of_somebody_else_is_no_seat(session: RoutingSession) -> None:
    seats = make_seats(session, 1)
    first, second = seats.somebody(), seats.somebody()
    claim_id = seats.claim_of(seats.enroll(first))
    session.commit()
    for stranger in (claim_id, new_id("europe")):
        with pytest.raises(ClaimReleased):
            seats.call("enroll_user", second, seats.course_id, stranger)
        session.rollback()


def test_all_free_seats_are_offered(full: Seats, settings: Settings) -> None:
    """As after a limit that somebody changed past the triggers."""
    join(full, FIRST)
    full.session.commit()
    with connect(settings.shard("eu").owner_url) as owner:
        owner.execute(
            "SET session_replication_role = replica; UPDATE courses SET max_enrollments = 2"
        )
    full.call("offer_all_seats")
    assert (full.taken, offered(full)) == (2, [FIRST])
