"""The routines of a claim, on one shard: what comes twice, late or in another order."""

from __future__ import annotations

import time
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from elearning.email_hash import email_hash, home_of_hash
from elearning.errors import (
    AlreadyEnrolled,
    ClaimReleased,
    ClaimTooOld,
    CourseFull,
    CourseNotFound,
    CourseNotOpen,
    EnrollmentClosed,
    IsolationTooHigh,
    SeatNotClaimed,
)
from elearning.ids import new_id
from elearning.models import CourseStatus
from elearning.routing import Engines, RoutingSession
from tests.models.seats import Seats, make_seats
from tests.models.support import scalar
from tests.models.world import World, insert_copy

STRANGER = new_id("asia")
"""A user of another shard, which is never asked here."""
OTHER = new_id("oceania")


@pytest.fixture
def seats(session: RoutingSession) -> Seats:
    return make_seats(session, 1)


def made(seconds: float) -> UUID:
    """Return an id that was made so long ago."""
    milliseconds = time.time_ns() // 1_000_000 - int(seconds * 1000)
    return UUID(bytes=milliseconds.to_bytes(6) + new_id("asia").bytes[6:])


def test_a_seat_is_claimed_once(seats: Seats) -> None:
    claim_id = new_id("asia")
    for _ in range(2):
        assert seats.claim(STRANGER, claim_id) == (claim_id, "pending")
        assert seats.taken == 1
    # Another claim of the same user leads to the one that there is.
    assert seats.claim(STRANGER) == (claim_id, "pending")
    seats.call("confirm_claim", claim_id)
    assert seats.claim(STRANGER) == (claim_id, "confirmed")
    assert seats.claim(STRANGER, claim_id) == (claim_id, "confirmed")
    assert seats.taken == 1


def test_a_course_has_no_more_seats_than_it_has(seats: Seats) -> None:
    seats.claim(STRANGER)
    refused = new_id("asia")
    with pytest.raises(CourseFull, match="all 1 seats"), seats.session.begin_nested():
        seats.claim(OTHER, refused)
    assert (seats.status(refused), seats.taken) == (None, 1)
    # Somebody who is in already is counted all the same.
    assert seats.claim(OTHER, forced=True)[1] == "pending"
    assert seats.taken == 2


def test_a_course_without_limit_counts_too(seats: Seats) -> None:
    seats.limit(None)
    seats.claim(STRANGER)
    seats.claim(OTHER)
    assert seats.taken == 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("status = 'draft'", CourseNotOpen),
        ("enrollment_opens_at = '2300-01-01'", EnrollmentClosed),
        ("enrollment_closes_at = '2000-01-01'", EnrollmentClosed),
    ],
)
def test_a_seat_is_claimed_while_the_course_is_open(
    seats: Seats, change: str, error: type[Exception]
) -> None:
    seats.session.execute(text(f"UPDATE courses SET {change}"))
    with pytest.raises(error), seats.session.begin_nested():
        seats.claim(STRANGER)
    assert seats.claim(STRANGER, forced=True)[1] == "pending"


def test_a_seat_of_no_course(session: RoutingSession) -> None:
    with pytest.raises(CourseNotFound):
        Seats(session, new_id("europe")).claim(STRANGER)


def test_a_released_claim_stays_released(seats: Seats) -> None:
    claim_id, _ = seats.claim(STRANGER)
    for _ in range(2):
        seats.call("release_claim", claim_id)
        assert (seats.status(claim_id), seats.taken) == ("released", 0)
    # A late confirmation, and a late duplicate of the first step.
    seats.call("confirm_claim", claim_id)
    assert seats.claim(STRANGER, claim_id) == (claim_id, "released")
    assert (seats.status(claim_id), seats.taken) == ("released", 0)
    again, status = seats.claim(STRANGER)
    assert (again != claim_id, status) == (True, "pending")
    # A late duplicate of the release takes no other claim along.
    seats.call("release_claim", claim_id)
    assert (seats.status(again), seats.taken) == ("pending", 1)


def test_a_confirmed_claim_is_released_once(seats: Seats) -> None:
    claim_id, _ = seats.claim(STRANGER)
    for _ in range(2):
        seats.call("confirm_claim", claim_id)
        assert seats.status(claim_id) == "confirmed"
    for _ in range(2):
        seats.call("release_claim", claim_id)
        assert (seats.status(claim_id), seats.taken) == ("released", 0)


def test_a_claim_that_is_not_there_is_no_error(seats: Seats) -> None:
    seats.call("confirm_claim", new_id("asia"))
    seats.call("release_claim", new_id("asia"))
    assert seats.taken == 0


@pytest.mark.parametrize(
    ("age", "refused"), [(0, False), (3590, False), (3610, True), (1e6, True), (-60, False)]
)
def test_a_claim_is_used_within_an_hour(seats: Seats, age: float, refused: bool) -> None:
    claim_id = made(age)
    if refused:
        with pytest.raises(ClaimTooOld, match=str(claim_id)):
            seats.call("require_fresh_claim", claim_id)
    else:
        seats.call("require_fresh_claim", claim_id)


def test_an_old_claim_gets_in_nowhere(seats: Seats) -> None:
    old, user_id = made(3700), seats.somebody()
    email = [{"id": str(old), "fact": bytes(36).hex()}]
    attempts = {
        "claim_seat": (old, seats.course_id, STRANGER),
        "claim_email": (old, bytes(36), STRANGER),
        "enroll_user": (user_id, seats.course_id, old),
        "adopt_claim": (new_id("europe"), old),
    }
    for routine, arguments in attempts.items():
        with pytest.raises(ClaimTooOld), seats.session.begin_nested():
            seats.call(routine, *arguments)
    with pytest.raises(ClaimTooOld):
        seats.session.execute(
            text("SELECT use_emails(CAST(:claims AS jsonb), :id, 'x@example.com')"),
            {"claims": str(email).replace("'", '"'), "id": user_id},
        )


def test_the_user_s_shard_decides_once(seats: Seats) -> None:
    used, released = new_id("europe"), new_id("europe")
    fact = seats.course_id.bytes
    user_id = new_id("europe")
    assert seats.call("use_claim", used, "seat", fact, user_id) is True
    assert seats.call("use_claim", used, "seat", fact, user_id) is False
    # Whoever settles it finds it used, and one that nobody has used is released for ever.
    assert seats.settle(used, user_id) == "used"
    for _ in range(2):
        assert seats.settle(released, user_id) == "released"
    with pytest.raises(ClaimReleased, match=str(released)):
        seats.call("use_claim", released, "seat", fact, user_id)


def test_a_claim_is_given_back_at_its_home(seats: Seats) -> None:
    user_id = seats.somebody()
    enrollment_id = seats.enroll(user_id)
    claim_id = seats.claim_of(enrollment_id)
    assert (seats.status(claim_id), seats.outcome(claim_id)) == ("confirmed", "used")
    seats.drop(enrollment_id)
    for _ in range(2):
        assert (seats.status(claim_id), seats.outcome(claim_id)) == ("released", "released")
        assert (seats.taken, seats.messages("claim_released")) == (0, [])
        seats.call("give_back_claim", claim_id)


def test_a_claim_of_another_shard_is_given_back_by_a_message(session: RoutingSession) -> None:
    elsewhere = Seats(session, new_id("oceania"))
    claim_id, fact = new_id("europe"), elsewhere.course_id.bytes
    elsewhere.call("use_claim", claim_id, "seat", fact, new_id("europe"))
    for _ in range(2):
        elsewhere.call("give_back_claim", claim_id)
        assert elsewhere.messages("claim_released") == [
            {"claim_id": str(claim_id), "home": "oceania"}
        ]
    assert elsewhere.outcome(claim_id) == "released"


def test_what_nobody_has_used_is_not_given_back(seats: Seats) -> None:
    claim_id, _ = seats.claim(STRANGER)
    seats.call("give_back_claim", claim_id)
    assert (seats.status(claim_id), seats.taken) == ("pending", 1)


def test_require_seat(seats: Seats) -> None:
    user_id = seats.somebody()
    columns = "enrollments (id, user_id, course_id, status)"
    values = {"user": user_id, "course": seats.course_id}
    new = f"INSERT INTO {columns} VALUES (new_id(3), :user, :course, :status)"
    with (
        pytest.raises(SeatNotClaimed, match=f"of europe has a limit.* for user {user_id}"),
        seats.session.begin_nested(),
    ):
        seats.session.execute(text(new), values | {"status": "active"})
    seats.session.execute(text(new), values | {"status": "dropped"})
    back = text("UPDATE enrollments SET status = 'active'")
    with pytest.raises(SeatNotClaimed), seats.session.begin_nested():
        seats.session.execute(back)
    seats.limit(None)
    seats.session.execute(back)
    # Who is in when the course gets a limit goes on.
    seats.limit(1)
    seats.session.execute(text("UPDATE enrollments SET last_accessed = now()"))


def test_who_is_in_when_a_course_gets_a_limit_is_given_a_seat(seats: Seats) -> None:
    seats.limit(None)
    user_id = seats.somebody()
    enrollment_id = seats.enroll(user_id)
    assert seats.claim_of(enrollment_id) is None
    seats.limit(1)
    claim_id, _ = seats.claim(user_id, new_id("europe"), forced=True)
    seats.call("adopt_claim", enrollment_id, claim_id)
    seats.call("confirm_claim", claim_id)
    assert (seats.claim_of(enrollment_id), seats.taken) == (claim_id, 1)
    # It has one now, and another one is not needed.
    with pytest.raises(ClaimReleased), seats.session.begin_nested():
        seats.call("adopt_claim", enrollment_id, new_id("europe"))
    seats.drop(enrollment_id)
    assert seats.taken == 0
    with pytest.raises(ClaimReleased):
        seats.call("adopt_claim", enrollment_id, new_id("europe"))


def test_a_claim_that_its_home_has_lost_is_made_again(seats: Seats) -> None:
    user_id = seats.somebody()
    enrollment_id = seats.enroll(user_id)
    lost = seats.claim_of(enrollment_id)
    seats.call("release_claim", lost)  # the home of the course knows nothing of it
    assert [seats.call("lose_claim", lost) for _ in range(2)] == [True, False]
    assert (seats.claim_of(enrollment_id), seats.outcome(lost)) == (None, "released")
    claim_id, _ = seats.claim(user_id, new_id("europe"), forced=True)
    seats.call("adopt_claim", enrollment_id, claim_id)
    assert (seats.claim_of(enrollment_id), seats.taken) == (claim_id, 1)


def test_prune_claims(root: Connection, world: World) -> None:
    def there() -> list[int]:
        tables = ("claims", "claim_outcomes", "waitlist")
        return [scalar(root, f"SELECT count(*) FROM {table}") for table in tables]

    root.exec_driver_sql("SET LOCAL session_replication_role = replica")
    for age in ("1 hour", "2 days"):
        past = scalar(root, f"SELECT now() - interval '{age}'")
        insert_copy(root, world, "claims", status="released", settled_at=past)
        insert_copy(root, world, "claims", settled_at=past)
        insert_copy(root, world, "claim_outcomes", outcome="released", decided_at=past)
        insert_copy(root, world, "claim_outcomes", decided_at=past)
        insert_copy(root, world, "waitlist", status="left", created_at=past)
        root.exec_driver_sql("DROP INDEX IF EXISTS uq_claims_seat")
    assert there() == [5, 5, 3]
    assert scalar(root, "SELECT prune_claims()") == 3
    assert there() == [4, 4, 2]
    assert scalar(root, "SELECT prune_claims()") == 0


@pytest.mark.parametrize("routine", ["claim_seat", "release_claim", "settle_claim", "enroll_user"])
def test_claims_are_counted_of_what_others_commit(
    engines: Engines, session: RoutingSession, routine: str
) -> None:
    arguments = {
        "claim_seat": "new_id(5), new_id(3), new_id(5)",
        "release_claim": "new_id(5)",
        "settle_claim": "new_id(5), 'seat', '', new_id(5)",
        "enroll_user": "new_id(3), new_id(3)",
    }
    with engines.primary("eu").engine.connect() as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(IsolationTooHigh):
            connection.exec_driver_sql(f"SELECT {routine}({arguments[routine]})")


def test_claim_home_is_the_same_in_python(session: RoutingSession) -> None:
    for number in range(20):
        fact = email_hash("key", f"user{number}@example.com")
        code = session.scalar(text("SELECT claim_home('email', :fact)"), {"fact": fact})
        assert code == home_of_hash(fact).code
    course_id = new_id("oceania")
    assert session.scalar(text("SELECT claim_home('seat', :fact)"), {"fact": course_id.bytes}) == 6


def test_an_archived_course_begins_for_nobody(seats: Seats) -> None:
    user_id = seats.somebody()
    claim_id, _ = seats.claim(user_id, new_id("europe"))
    seats.session.execute(
        text(f"UPDATE courses SET status = '{CourseStatus.ARCHIVED}', archived_at = now()")
    )
    with pytest.raises(CourseNotOpen):
        seats.enroll(user_id, claim_id)


def test_a_second_claim_of_who_is_in_is_refused(seats: Seats) -> None:
    seats.limit(None)
    user_id = seats.somebody()
    seats.enroll(user_id)
    claim_id, _ = seats.claim(user_id, new_id("europe"))
    with pytest.raises(AlreadyEnrolled), seats.session.begin_nested():
        seats.enroll(user_id, claim_id)
    # Nothing of it is left here, so whoever settles it finds it unused.
    assert seats.settle(claim_id, user_id) == "released"
