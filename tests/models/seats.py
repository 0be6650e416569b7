"""A course with few seats, and what plain SQL tells of claims and counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update

from elearning.ids import new_id
from elearning.models import (
    Claim,
    ClaimOutcome,
    Course,
    CourseSeats,
    Enrollment,
    EnrollmentStatus,
    WaitlistEntry,
)
from elearning.routing import RoutingSession
from elearning.testing.factories import CourseFactory, UserFactory, bound


@dataclass(frozen=True)
class Seats:
    """A course of Europe, and the session that its rows are written by."""

    session: RoutingSession
    course_id: UUID

    def somebody(self, region: str = "europe") -> UUID:
        """Make a user of this shard."""
        with bound(self.session):
            return UserFactory.create(region=region).id

    def claim(
        self, user_id: UUID, claim_id: UUID | None = None, *, forced: bool = False
    ) -> tuple[UUID, str]:
        """Claim a seat, and return the claim that the user has now, and its status."""
        claimed = func.claim_seat(claim_id or new_id("asia"), self.course_id, user_id, forced)
        found = claimed.table_valued("claim_id", "claim_status")
        row = self.session.execute(select(found.c.claim_id, found.c.claim_status)).one()
        return UUID(str(row.claim_id)), row.claim_status

    def enroll(self, user_id: UUID, claim_id: UUID | None = None) -> UUID:
        enrolled = select(func.enroll_user(user_id, self.course_id, claim_id))
        return UUID(str(self.session.scalars(enrolled).one()))

    def call(self, routine: str, *arguments: Any) -> Any:
        return self.session.scalar(select(getattr(func, routine)(*arguments)))

    def settle(self, claim_id: UUID, user_id: UUID) -> Any:
        return self.call("settle_claim", claim_id, "seat", self.course_id.bytes, user_id)

    def becomes(self, enrollment_id: UUID, status: EnrollmentStatus) -> None:
        self.session.execute(
            update(Enrollment).where(Enrollment.id == enrollment_id).values(status=status)
        )

    def drop(self, enrollment_id: UUID) -> None:
        self.becomes(enrollment_id, EnrollmentStatus.DROPPED)

    def limit(self, seats: int | None) -> None:
        self.session.execute(
            update(Course).where(Course.id == self.course_id).values(max_enrollments=seats)
        )

    def claim_of(self, enrollment_id: UUID) -> UUID | None:
        return self.session.scalar(
            select(Enrollment.claim_id).where(Enrollment.id == enrollment_id)
        )

    def status(self, claim_id: UUID | None) -> str | None:
        status = self.session.scalar(select(Claim.status).where(Claim.id == claim_id))
        return None if status is None else status.value

    def outcome(self, claim_id: UUID | None) -> str | None:
        outcome = self.session.scalar(
            select(ClaimOutcome.outcome).where(ClaimOutcome.claim_id == claim_id)
        )
        return None if outcome is None else outcome.value

    @property
    def taken(self) -> int:
        """How many seats are taken, once all that plain SQL tells agrees."""
        assert wrong(self.session) == []
        return self.session.scalar(select(CourseSeats.taken)) or 0

    @property
    def line(self) -> list[tuple[UUID, str]]:
        """Those who have ever waited, in order of arrival."""
        rows = self.session.execute(
            select(WaitlistEntry.user_id, WaitlistEntry.status).order_by(WaitlistEntry.id)
        )
        return [(user_id, status.value) for user_id, status in rows]

    def messages(self, topic: str) -> list[dict[str, Any]]:
        rows = self.session.execute(
            text("SELECT payload FROM outbox WHERE topic = :topic ORDER BY id"), {"topic": topic}
        )
        return list(rows.scalars())


def make_seats(session: RoutingSession, number: int | None, **course: Any) -> Seats:
    with bound(session):
        made = CourseFactory.create(max_enrollments=number, **course)
    return Seats(session, made.id)


_MISCOUNTED = text("""
    SELECT course_id::text, region, counted.*, kept.*
    FROM (
        SELECT course_id, region_code_of(id) AS region,
            count(*) FILTER (WHERE status IN ('active', 'completed')) AS live,
            count(*) FILTER (WHERE status = 'completed') AS done
        FROM enrollments GROUP BY 1, 2
    ) AS counted
    FULL JOIN (
        SELECT course_id, region_code_of(id) AS region, sum(rating) AS total, count(*) AS number
        FROM course_reviews GROUP BY 1, 2
    ) AS rated USING (course_id, region)
    FULL JOIN (
        SELECT s.*, region_code AS region FROM course_statistics AS s
    ) AS kept USING (course_id, region)
    WHERE (coalesce(live, 0), coalesce(done, 0), coalesce(total, 0), coalesce(number, 0))
        IS DISTINCT FROM (
            coalesce(kept.enrollments, 0), coalesce(kept.completions, 0),
            coalesce(kept.rating_sum, 0), coalesce(kept.total_ratings, 0)
        )
""")
_MISRATED = text("""
    SELECT c.id::text, c.rating_sum, c.total_ratings, c.rating, s.total, s.number
    FROM courses AS c
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(rating_sum), 0) AS total, coalesce(sum(total_ratings), 0) AS number
        FROM course_statistics WHERE course_id = c.id
    ) AS s
    WHERE c.rating_sum <> s.total OR c.total_ratings <> s.number
        OR c.rating IS DISTINCT FROM round(s.total::numeric / NULLIF(s.number, 0), 2)
""")
_MISTAKEN = text("""
    SELECT course_id::text, kept.taken, claimed.number
    FROM course_seats AS kept
    FULL JOIN (
        SELECT encode(fact, 'hex')::uuid AS course_id, count(*) AS number
        FROM claims WHERE kind = 'seat' AND status <> 'released' GROUP BY 1
    ) AS claimed USING (course_id)
    WHERE coalesce(kept.taken, 0) <> coalesce(claimed.number, 0)
""")
_MISUSED = text("""
    SELECT e.id::text, e.status, e.claim_id::text, o.outcome, c.status
    FROM enrollments AS e
    FULL JOIN (SELECT * FROM claim_outcomes WHERE kind = 'seat' AND outcome = 'used') AS o
        ON o.claim_id = e.claim_id
    LEFT JOIN claims AS c ON c.id = coalesce(e.claim_id, o.claim_id)
    WHERE (e.claim_id IS NOT NULL OR o.claim_id IS NOT NULL) AND (
        e.status IN ('active', 'completed') AND o.outcome = 'used'
        AND o.fact = uuid_send(e.course_id) AND o.holder_id = e.user_id
        AND c.status <> 'released' AND c.fact = o.fact AND c.holder_id = o.holder_id
    ) IS NOT TRUE
""")


def wrong(session: RoutingSession) -> list[Any]:
    """Return what does not agree: counters, ratings, seats, and who uses them.

    All courses are of this shard; what other shards decide is not looked at.
    """
    statements = (_MISCOUNTED, _MISRATED, _MISTAKEN, _MISUSED)
    return [row for statement in statements for row in session.execute(statement)]
