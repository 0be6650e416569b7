"""Facts that are true worldwide: whose an email address is, and who has a seat in a course.

A claim is written on the shard that owns the fact before the row that needs it is written on
the user's shard; one row there decides what becomes of it. docs/claims.md explains why that is
safe, whatever crashes.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from elearning.models.base import Base
from elearning.models.course import Course
from elearning.models.states import States
from elearning.models.types import enum_type

__all__ = [
    "Claim",
    "ClaimKind",
    "ClaimOutcome",
    "ClaimResult",
    "ClaimStatus",
    "CourseSeats",
    "WaitlistEntry",
    "WaitlistStatus",
]


class ClaimKind(StrEnum):
    """Which fact is claimed."""

    SEAT = "seat"
    EMAIL = "email"


class ClaimStatus(StrEnum):
    """How far a claim is; a released one stays for a while, so that nobody writes it again."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    RELEASED = "released"


class ClaimResult(StrEnum):
    """What the user's shard has decided about a claim."""

    USED = "used"
    RELEASED = "released"


class WaitlistStatus(StrEnum):
    """Where somebody who waits for a seat stands."""

    WAITING = "waiting"
    OFFERED = "offered"
    LEFT = "left"


CLAIM_STATES = States(
    {
        ClaimStatus.PENDING: (ClaimStatus.CONFIRMED, ClaimStatus.RELEASED),
        ClaimStatus.CONFIRMED: (ClaimStatus.RELEASED,),
        ClaimStatus.RELEASED: (),
    },
    start=(ClaimStatus.PENDING, ClaimStatus.CONFIRMED),
)
WAITLIST_STATES = States(
    {
        WaitlistStatus.WAITING: (WaitlistStatus.OFFERED, WaitlistStatus.LEFT),
        WaitlistStatus.OFFERED: (),
        WaitlistStatus.LEFT: (),
    },
    start=(WaitlistStatus.WAITING,),
)


class Claim(Base):
    """A claim, on the shard that owns the fact."""

    __tablename__ = "claims"

    id: Mapped[UUID] = mapped_column(primary_key=True, comment="its region is the holder's")
    kind: Mapped[ClaimKind] = mapped_column(enum_type(ClaimKind))
    fact: Mapped[bytes] = mapped_column(
        LargeBinary, comment="a course's id, or the keyed hash of an address; never the address"
    )
    holder_id: Mapped[UUID] = mapped_column(comment="a user, on any shard")
    status: Mapped[ClaimStatus] = mapped_column(
        enum_type(ClaimStatus), default=ClaimStatus.PENDING, server_default="pending"
    )
    offered: Mapped[bool] = mapped_column(
        server_default=false(), comment="a seat that came free for somebody who waited"
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    settled_at: Mapped[datetime | None] = mapped_column(
        comment="when it was confirmed or released; NULL: pending"
    )

    __table_args__ = (
        CheckConstraint("(status = 'pending') = (settled_at IS NULL)", name="settled_at"),
        CheckConstraint(
            "octet_length(fact) = CASE kind WHEN 'seat' THEN 16 ELSE 36 END", name="fact"
        ),
        Index(
            "uq_claims_seat",
            "fact",
            "holder_id",
            unique=True,
            postgresql_where=text("kind = 'seat' AND status <> 'released'"),
        ),
        Index(
            "uq_claims_email",
            "fact",
            unique=True,
            postgresql_where=text("kind = 'email' AND status <> 'released'"),
        ),
        Index("idx_claims_pending", "created_at", postgresql_where=text("status = 'pending'")),
        Index("idx_claims_released", "settled_at", postgresql_where=text("status = 'released'")),
        {
            "comment": "Who holds a seat or an email address, on the shard that owns the fact",
            "info": {
                "states": CLAIM_STATES,
                "fixed": ("kind", "fact", "holder_id"),
            },
        },
    )


class ClaimOutcome(Base):
    """What became of a claim, on the holder's shard: the row that decides."""

    __tablename__ = "claim_outcomes"

    claim_id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="a row of claims, on the shard that owns the fact"
    )
    outcome: Mapped[ClaimResult] = mapped_column(enum_type(ClaimResult))
    kind: Mapped[ClaimKind] = mapped_column(enum_type(ClaimKind))
    fact: Mapped[bytes] = mapped_column(LargeBinary, comment="as in claims")
    holder_id: Mapped[UUID] = mapped_column(
        index=True, comment="a user of this shard; the row outlives the account"
    )
    offered: Mapped[bool] = mapped_column(
        server_default=false(), comment="used after the waiting list had offered it; kept for ever"
    )
    decided_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        Index(
            "idx_claim_outcomes_released",
            "decided_at",
            postgresql_where=text("outcome = 'released'"),
        ),
        {"comment": "What became of each claim, on the holder's shard"},
    )


class CourseSeats(Base):
    """How many seats of a course are taken, at its home."""

    __tablename__ = "course_seats"

    course_id: Mapped[UUID] = mapped_column(
        ForeignKey(Course.id, ondelete="RESTRICT"), primary_key=True
    )
    taken: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="claims that are pending or confirmed"
    )

    __table_args__ = (
        CheckConstraint("taken >= 0", name="taken"),
        {"comment": "How many seats of a course are taken worldwide, at its home"},
    )


class WaitlistEntry(Base):
    """Somebody who waits for a seat, at the course's home."""

    __tablename__ = "waitlist"

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, comment="the order of arrival"
    )
    course_id: Mapped[UUID] = mapped_column(ForeignKey(Course.id, ondelete="RESTRICT"))
    user_id: Mapped[UUID] = mapped_column(comment="a user, on any shard")
    status: Mapped[WaitlistStatus] = mapped_column(
        enum_type(WaitlistStatus), default=WaitlistStatus.WAITING, server_default="waiting"
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        Index(
            "uq_waitlist_course_id_user_id",
            "course_id",
            "user_id",
            unique=True,
            postgresql_where=text("status = 'waiting'"),
        ),
        Index("idx_waitlist_course_id", "course_id", "id"),
        Index("idx_waitlist_over", "created_at", postgresql_where=text("status <> 'waiting'")),
        {
            "comment": "Who waits for a seat, in order of arrival, at the course's home",
            "info": {"states": WAITLIST_STATES, "fixed": ("course_id", "user_id")},
        },
    )
