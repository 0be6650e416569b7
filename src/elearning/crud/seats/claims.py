"""Claims: each operation is one statement on one shard; docs/claims.md puts them together.

"There" is the shard that owns the fact, "here" the holder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from elearning.crud.statements import FIRST, Executor, constant
from elearning.email_hash import home_of_hash
from elearning.ids import region_of
from elearning.models import Claim, ClaimKind, ClaimOutcome, ClaimResult, ClaimStatus
from elearning.regions import Region
from elearning.routing import Reader

__all__ = [
    "EmailClaim",
    "HeldClaim",
    "claim_email",
    "claim_seat",
    "claims_in_use",
    "confirm_claim",
    "confirmed_claims",
    "find_claim",
    "find_holder",
    "forget_email_key",
    "has_seat",
    "held_claims",
    "lose_claim",
    "offer_all_seats",
    "pending_claims",
    "prune_claims",
    "release_claim",
    "settle_claim",
    "used_claims",
]


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """A claim, as it is there.

    Attributes:
        id: of the claim.
        kind: which fact.
        fact: a course's id, or an address's hash.
        holder_id: the user.
        status: how far it is.
        offered: whether the waiting list made it.
    """

    id: UUID
    kind: ClaimKind
    fact: bytes
    holder_id: UUID
    status: ClaimStatus
    offered: bool = False

    @property
    def home(self) -> Region:
        """A region of the shard that owns the fact."""
        return region_of(self.course_id) if self.kind == ClaimKind.SEAT else home_of_hash(self.fact)

    @property
    def course_id(self) -> UUID:
        """The course of a seat."""
        return UUID(bytes=self.fact)


@dataclass(frozen=True, slots=True)
class EmailClaim:
    """A claim of an address that is about to be used."""

    id: UUID
    fact: bytes

    def to_json(self) -> dict[str, str]:
        """Return what the routine use_emails takes."""
        return {"id": str(self.id), "fact": self.fact.hex()}


_COLUMNS = (
    Claim.id,
    Claim.kind,
    Claim.fact,
    Claim.holder_id,
    Claim.status,
    Claim.offered,
)


def claim_seat(
    executor: Executor, claim_id: UUID, course_id: UUID, user_id: UUID, *, forced: bool = False
) -> HeldClaim:
    """Claim a seat there, and return the claim that the user has now.

    Args:
        executor: on the course's home.
        claim_id: new, of the user's region; the same one again changes nothing.
        course_id: the course.
        user_id: for whom.
        forced: whether somebody who is in already is counted, whatever the limit says.

    Raises:
        CourseNotFound, CourseNotOpen, EnrollmentClosed, CourseFull: there is no seat.
        ClaimTooOld: the claim is not new.
    """
    found = func.claim_seat(claim_id, course_id, user_id, forced).table_valued(
        "claim_id", "claim_status", "was_offered"
    )
    row = executor.execute(
        select(found.c.claim_id, found.c.claim_status, found.c.was_offered)
    ).one()
    status = ClaimStatus(row.claim_status)
    return HeldClaim(
        row.claim_id, ClaimKind.SEAT, course_id.bytes, user_id, status, row.was_offered
    )


def claim_email(executor: Executor, claim: EmailClaim, user_id: UUID) -> HeldClaim:
    """Claim an address there, and return the claim that holds it now, whosever it is.

    Raises:
        ClaimTooOld: the claim is not new.
    """
    found = func.claim_email(claim.id, claim.fact, user_id).table_valued(
        "claim_id", "claim_status", "holder_id"
    )
    row = executor.execute(select(found.c.claim_id, found.c.claim_status, found.c.holder_id)).one()
    status = ClaimStatus(row.claim_status)
    return HeldClaim(row.claim_id, ClaimKind.EMAIL, claim.fact, row.holder_id, status)


def settle_claim(executor: Executor, claim: HeldClaim) -> ClaimResult:
    """Decide here what becomes of a claim: one that nobody has used is released for ever."""
    arguments = (claim.id, claim.kind.value, claim.fact, claim.holder_id)
    return ClaimResult(executor.execute(select(func.settle_claim(*arguments))).scalar_one())


def confirm_claim(executor: Executor, claim_id: UUID) -> None:
    """Note there that a claim is used."""
    executor.execute(select(func.confirm_claim(claim_id)))


def release_claim(executor: Executor, claim_id: UUID) -> None:
    """Give a claim back there; again changes nothing. A seat goes to whoever waits for it."""
    executor.execute(select(func.release_claim(claim_id)))


def find_claim(executor: Executor, claim_id: UUID) -> HeldClaim | None:
    """Return a claim there, or None where it is forgotten."""
    row = executor.execute(select(*_COLUMNS).where(Claim.id == claim_id)).one_or_none()
    return None if row is None else HeldClaim(*row)


def has_seat(executor: Executor, course_id: UUID, user_id: UUID) -> bool:
    """Tell whether a user has a seat there, or is offered one."""
    found = executor.execute(
        select(Claim.id).where(
            Claim.kind == constant(ClaimKind.SEAT, Claim.kind),
            Claim.fact == course_id.bytes,
            Claim.holder_id == user_id,
            Claim.status != constant(ClaimStatus.RELEASED, Claim.status),
        )
    )
    return found.first() is not None


def find_holder(session: Reader, fact: bytes) -> UUID | None:
    """Return whose an address is, or None where nobody has claimed it there."""
    holder: UUID | None = session.execute(
        select(Claim.holder_id).where(
            Claim.kind == constant(ClaimKind.EMAIL, Claim.kind),
            Claim.fact == fact,
            Claim.status != constant(ClaimStatus.RELEASED, Claim.status),
        )
    ).scalar_one_or_none()
    return holder


def pending_claims(
    executor: Executor, *, age: float, limit: int, after: UUID = FIRST
) -> Sequence[HeldClaim]:
    """Return claims there that have been pending for longer than ``age`` seconds, by their ids."""
    rows = executor.execute(
        select(*_COLUMNS)
        .where(
            Claim.status == constant(ClaimStatus.PENDING, Claim.status),
            Claim.created_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, age),
            Claim.id > after,
        )
        .order_by(Claim.id)
        .limit(limit)
    )
    return [HeldClaim(*row) for row in rows]


def held_claims(executor: Executor, ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these claims are there, and not released."""
    held = select(Claim.id).where(Claim.id.in_(ids), Claim.status != ClaimStatus.RELEASED)
    return set(executor.execute(held).scalars())


def used_claims(executor: Executor, ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these claims are used here."""
    used = select(ClaimOutcome.claim_id).where(
        ClaimOutcome.claim_id.in_(ids), ClaimOutcome.outcome == ClaimResult.USED
    )
    return set(executor.execute(used).scalars())


def confirmed_claims(executor: Executor, *, after: UUID, limit: int) -> Sequence[HeldClaim]:
    """Return claims there that are confirmed, by their ids, from behind this one on."""
    rows = executor.execute(
        select(*_COLUMNS)
        .where(Claim.status == ClaimStatus.CONFIRMED, Claim.id > after)
        .order_by(Claim.id)
        .limit(limit)
    )
    return [HeldClaim(*row) for row in rows]


def claims_in_use(executor: Executor, *, after: UUID, limit: int) -> Sequence[HeldClaim]:
    """Return claims that are used here, by their ids, from behind this one on."""
    rows = executor.execute(
        select(
            ClaimOutcome.claim_id,
            ClaimOutcome.kind,
            ClaimOutcome.fact,
            ClaimOutcome.holder_id,
        )
        .where(ClaimOutcome.outcome == ClaimResult.USED, ClaimOutcome.claim_id > after)
        .order_by(ClaimOutcome.claim_id)
        .limit(limit)
    )
    return [HeldClaim(*row, ClaimStatus.CONFIRMED) for row in rows]


def lose_claim(executor: Executor, claim_id: UUID) -> bool:
    """Note here that a claim is not there any more; tell whether it was used."""
    lost: bool = executor.execute(select(func.lose_claim(claim_id))).scalar_one()
    return lost


def offer_all_seats(executor: Executor) -> None:
    """Offer the free seats of all courses there that somebody waits for."""
    executor.execute(select(func.offer_all_seats()))


def prune_claims(executor: Executor) -> int:
    """Forget claims and outcomes that were released more than a day ago; return how many."""
    number: int = executor.execute(select(func.prune_claims())).scalar_one()
    return number


def forget_email_key(executor: Executor, known: Sequence[bytes]) -> int:
    """Give back here the claims of addresses under other keys than these; return how many.

    Args:
        executor: on a shard, in a transaction.
        known: ids of the keys that stay.
    """
    key = func.substring(ClaimOutcome.fact, 1, 4)
    old: Any = select(func.give_back_claim(ClaimOutcome.claim_id)).where(
        ClaimOutcome.kind == ClaimKind.EMAIL,
        ClaimOutcome.outcome == ClaimResult.USED,
        key.not_in(known),
    )
    return len(executor.execute(old).all())
