"""The steps of a claim, each a transaction on one shard; docs/claims.md proves them.

"There" is the shard that owns the fact, "here" the user's. A step may be cut off anywhere and
come late or twice: `settle` ends a claim from what the rows say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from elearning import crud
from elearning.crud import EmailClaim, HeldClaim
from elearning.email_hash import email_hash, home_of_hash
from elearning.errors import (
    AccessDenied,
    Conflict,
    CourseNotCopied,
    CourseNotFound,
    CourseNotOpen,
    ElearningError,
    EmailTaken,
    NotFound,
    SettingsError,
)
from elearning.flows.copies import status_at_home
from elearning.flows.platform import Platform
from elearning.ids import created_at_of, new_id, region_of
from elearning.models import ClaimKind, ClaimResult, ClaimStatus, CourseStatus
from elearning.regions import Region
from elearning.routing import Token

__all__ = [
    "claim_address",
    "claim_seat",
    "confirm",
    "confirm_address",
    "decide",
    "email_keys",
    "give_up",
    "home_of",
    "release",
    "settle",
    "use_seat",
]


def home_of(platform: Platform, claim: HeldClaim) -> str:
    """Return the shard that owns a claim's fact."""
    return platform.engines.home(claim.home)


async def claim_seat(
    platform: Platform, claim_id: UUID, course_id: UUID, user_id: UUID, *, forced: bool = False
) -> HeldClaim:
    """Step 1, there: claim a seat; see `crud.claim_seat`."""
    shard = platform.engines.home(region_of(course_id))
    return await platform.on_primary(
        shard, crud.claim_seat, claim_id, course_id, user_id, forced=forced
    )


async def use_seat(
    platform: Platform, claim: HeldClaim, *, token: Token | str | None = None
) -> UUID:
    """Step 2, here: enroll with a claim, and so use it; return the enrollment's id."""
    region = region_of(claim.holder_id)
    async with platform.session(region, token=token) as session, session.begin():
        return await session.run_sync(
            crud.enroll_user,
            claim.holder_id,
            claim.course_id,
            claim_id=claim.id,
            offered=claim.offered,
        )


async def confirm(platform: Platform, claim: HeldClaim) -> None:
    """Step 3, there: note that a claim is used."""
    await platform.on_primary(home_of(platform, claim), crud.confirm_claim, claim.id)


async def decide(platform: Platform, claim: HeldClaim) -> ClaimResult:
    """Decide, here: what nobody has used is released."""
    shard = platform.engines.home(region_of(claim.holder_id))
    return await platform.on_primary(shard, crud.settle_claim, claim)


async def release(platform: Platform, claim: HeldClaim) -> None:
    """Give a claim back, there; a seat goes to whoever waits for it."""
    await platform.on_primary(home_of(platform, claim), crud.release_claim, claim.id)


async def settle(platform: Platform, claim: HeldClaim) -> ClaimResult:
    """End a claim: confirm what was used, release what was not. Safe at any time, and again.

    An offer of the waiting list is taken up first: nobody loses a place because a shard was down.

    Raises:
        CourseNotCopied: the course of an offer has been published just now; try again.
        NodeUnavailable: a primary does not answer; try again.
    """
    if claim.offered:
        await _take_up(platform, claim)
    result = await decide(platform, claim)
    if result is ClaimResult.USED:
        await confirm(platform, claim)
    else:
        await release(platform, claim)
    return result


async def _take_up(platform: Platform, claim: HeldClaim) -> None:
    """Enroll who was offered a seat; where that is refused, the next one gets it."""
    try:
        await use_seat(platform, claim)
    except (CourseNotFound, CourseNotOpen) as error:
        if await status_at_home(platform, claim.course_id) is CourseStatus.PUBLISHED:
            # The copy here is not as new as the offer.
            here = platform.engines.home(region_of(claim.holder_id))
            raise CourseNotCopied(course_id=claim.course_id, shard=here, seconds=0) from error
    except (AccessDenied, Conflict, NotFound):
        # Enrolled already, or the account is gone or suspended.
        return


async def claim_address(
    platform: Platform, region: Region, user_id: UUID, email: str
) -> list[EmailClaim]:
    """Step 1 for an address: claim it, under each key, on the shards that own its hashes.

    What is owned here is claimed by step 2 itself.

    Args:
        platform: the databases.
        region: the user's.
        user_id: who has the address, or is about to have it.
        email: the address, normalized.

    Raises:
        EmailTaken: an account has it.
        SettingsError: there is no key to hash it with.
    """
    claims: list[EmailClaim] = []
    here = platform.engines.home(region)
    for key in email_keys(platform):
        claim = EmailClaim(new_id(region), email_hash(key, email))
        there = platform.engines.home(home_of_hash(claim.fact))
        try:
            if there != here:
                await _claim_there(platform, there, claim, user_id, email)
        except ElearningError:
            platform.background.start(give_up(platform, claims, user_id))
            raise
        claims.append(claim)
    return claims


def email_keys(platform: Platform) -> tuple[str, ...]:
    """Return the keys that addresses are hashed with; one shard needs none.

    Raises:
        SettingsError: there are several shards, and no key.
    """
    keys = platform.settings.email_keys
    if not keys and len(platform.settings.shards) > 1:
        raise SettingsError(
            variable="ELEARNING_EMAIL_KEYS",
            problem="is not set: addresses are unique worldwide by their keyed hashes",
        )
    return keys


async def _claim_there(
    platform: Platform, there: str, claim: EmailClaim, user_id: UUID, email: str
) -> None:
    held = await platform.on_primary(there, crud.claim_email, claim, user_id)
    if held.id != claim.id:
        # Somebody has it, is about to have it, or did not come to the end.
        young = (
            held.status is ClaimStatus.PENDING and _age(held) < platform.settings.limits.claim_age
        )
        if young or await settle(platform, held) is ClaimResult.USED:
            raise EmailTaken(email=email)
        held = await platform.on_primary(there, crud.claim_email, claim, user_id)
    if held.id != claim.id or held.status is ClaimStatus.RELEASED:
        raise EmailTaken(email=email)


def _age(claim: HeldClaim) -> float:
    return (datetime.now(UTC) - created_at_of(claim.id)).total_seconds()


async def confirm_address(platform: Platform, claims: Sequence[EmailClaim], user_id: UUID) -> None:
    """Step 3 for an address: confirm its claims; those owned here are."""
    for claim in _away(platform, claims, user_id):
        await confirm(platform, claim)


async def give_up(platform: Platform, claims: Sequence[EmailClaim], user_id: UUID) -> None:
    """Settle the claims of an address that was not used after all."""
    for claim in _away(platform, claims, user_id):
        await settle(platform, claim)


def _away(platform: Platform, claims: Sequence[EmailClaim], user_id: UUID) -> Sequence[HeldClaim]:
    here = platform.engines.home(region_of(user_id))
    held = [
        HeldClaim(claim.id, ClaimKind.EMAIL, claim.fact, user_id, ClaimStatus.PENDING)
        for claim in claims
    ]
    return [claim for claim in held if home_of(platform, claim) != here]
