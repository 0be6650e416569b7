"""Ends what was cut off: safe to run at any time, and by several at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from elearning import crud
from elearning.crud import FIRST, EmailClaim, HeldClaim, Unclaimed
from elearning.email_hash import email_hash, home_of_hash, key_id
from elearning.errors import EmailTaken, InvalidInput, SettingsError
from elearning.flows import claims
from elearning.flows.platform import Platform
from elearning.flows.relay import count_set_aside, deliver_all, wake
from elearning.ids import new_id, region_of
from elearning.regions import Region
from elearning.text import first_line

__all__ = ["Recovered", "forget_old_email_keys", "keep_recovering", "recover"]

logger = logging.getLogger("elearning.recovery")

_BATCH = 500
_LONGEST = 10**9  # seconds


@dataclass(slots=True)
class Recovered:
    """What was made good.

    Attributes:
        settled: claims that had been pending for too long.
        delivered: messages of the outboxes.
        expired: enrollments whose time was over.
        adopted: seats and addresses that were claimed for rows that had none.
        pruned: claims that were released long ago.
        folded: rows of the platform's counters that were added up.
        problems: what is left, and why.
    """

    settled: int = 0
    delivered: int = 0
    expired: int = 0
    adopted: int = 0
    pruned: int = 0
    folded: int = 0
    problems: list[str] = field(default_factory=list)


async def recover(platform: Platform, *, age: float | None = None, adopt: bool = True) -> Recovered:
    """Settle old claims, deliver messages, end enrollments whose time is over, add counters up.

    Args:
        platform: the databases.
        age: seconds; claims that have been pending for longer are settled. Default: the limit
            `claim_age`.
        adopt: also look through all rows for those without a claim: people in a course that
            has got a limit since, accounts that were imported, a new key, and what a promoted
            replica lacked.

    Returns:
        What was done; a shard that does not answer is one of the problems.

    Raises:
        InvalidInput: the age is no number of seconds.
    """
    given: object = age
    if given is not None and not (
        isinstance(given, int | float) and type(given) is not bool and 0 <= given <= _LONGEST
    ):
        message = f"an age of {given!r}: expected seconds, 0 to {_LONGEST}"
        raise InvalidInput(message)
    done = Recovered()
    older = platform.settings.limits.claim_age if age is None else age
    shards = [shard.name for shard in platform.settings.shards if shard.regions]
    for shard in shards:
        await _note(done, _expire(platform, shard, done))
    await _note(done, _deliver(platform, done))
    for shard in shards:
        await _note(done, _settle(platform, shard, older, done))
        if adopt:
            await _note(done, _compare_there(platform, shard, done))
            await _note(done, _compare_here(platform, shard, done))
            await _note(done, _adopt_seats(platform, shard, done))
            await _note(done, _adopt_emails(platform, shard, done))
        await _note(done, _prune(platform, shard, done))
        await _note(done, _fold(platform, shard, done))
    # A seat that was given back may have gone to somebody who waits.
    await _note(done, _deliver(platform, done))
    return done


async def keep_recovering(platform: Platform, *, every: float = 30.0) -> None:
    """Recover for as long as the task runs that this is; cancel it to end it.

    Args:
        platform: the databases.
        every: seconds between two runs.
    """
    while True:
        done = await recover(platform, adopt=False)
        for problem in done.problems:
            logger.warning("%s", problem)
        await asyncio.sleep(every)


async def forget_old_email_keys(platform: Platform) -> int:
    """Give back the claims of addresses under keys that are not in the settings any more.

    After `recover` has claimed all of them under those that are, and when every process has
    the same settings; else addresses would be free that are not.

    Returns:
        How many claims were given back.

    Raises:
        SettingsError: there are several shards, and no key; or accounts without a claim.
        NodeUnavailable: a primary does not answer; run it again.
    """
    known = [key_id(key) for key in claims.email_keys(platform)]
    for shard in platform.settings.shards:
        for key in known if shard.regions else ():
            async with platform.session(shard.regions[0]) as session:
                if await session.run_sync(crud.unclaimed_users, key, limit=1):
                    raise SettingsError(
                        variable="ELEARNING_EMAIL_KEYS",
                        problem=f"has a key under which not all accounts of shard {shard.name} "
                        "are claimed: recover first",
                    )
    number = 0
    for shard in platform.settings.shards:
        if shard.regions and known:
            async with platform.session(shard.regions[0]) as session, session.begin():
                number += await session.run_sync(crud.forget_email_key, known)
            wake(platform, shard.name)
    return number


async def _note(done: Recovered, work: Awaitable[None]) -> None:
    """Do one thing; what goes wrong with it stops no other."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one of the problems
        problem = first_line(error)
        if problem not in done.problems:
            done.problems.append(problem)


async def _expire(platform: Platform, shard: str, done: Recovered) -> None:
    ended = _BATCH
    while ended == _BATCH:
        async with platform.session(_region(platform, shard)) as session, session.begin():
            ended = await session.run_sync(crud.expire_enrollments, limit=_BATCH)
        done.expired += ended


async def _deliver(platform: Platform, done: Recovered) -> None:
    done.delivered += await deliver_all(platform)


async def _settle(platform: Platform, shard: str, age: float, done: Recovered) -> None:
    await platform.on_primary(shard, crud.offer_all_seats)
    after = FIRST
    while found := await platform.on_primary(
        shard, crud.pending_claims, age=age, limit=_BATCH, after=after
    ):
        after = found[-1].id
        for claim in found:
            await _note(done, _settle_one(platform, claim, done))


async def _settle_one(platform: Platform, claim: HeldClaim, done: Recovered) -> None:
    await claims.settle(platform, claim)
    done.settled += 1


async def _compare_there(platform: Platform, shard: str, done: Recovered) -> None:
    """Give back confirmed claims that the holder's shard knows nothing of: it was promoted."""
    after = FIRST
    while found := await platform.on_primary(
        shard, crud.confirmed_claims, after=after, limit=_BATCH
    ):
        after = found[-1].id
        for here, some in _by_shard(platform, found, lambda claim: region_of(claim.holder_id)):
            await _note(done, _settle_unused(platform, here, some, done))


async def _compare_here(platform: Platform, shard: str, done: Recovered) -> None:
    """Forget used claims that the fact's shard knows nothing of; they are made anew then."""
    after = FIRST
    while found := await platform.on_primary(shard, crud.claims_in_use, after=after, limit=_BATCH):
        after = found[-1].id
        for there, some in _by_shard(platform, found, lambda claim: claim.home):
            await _note(done, _lose_unheld(platform, shard, there, some))


async def _settle_unused(
    platform: Platform, here: str, some: Sequence[HeldClaim], done: Recovered
) -> None:
    used = await platform.on_primary(here, crud.used_claims, [each.id for each in some])
    for claim in some:
        if claim.id not in used:
            await _note(done, _settle_one(platform, claim, done))


async def _lose_unheld(
    platform: Platform, here: str, there: str, some: Sequence[HeldClaim]
) -> None:
    held = await platform.on_primary(there, crud.held_claims, [each.id for each in some])
    for claim in some:
        if claim.id not in held:
            await platform.on_primary(here, crud.lose_claim, claim.id)


def _by_shard(
    platform: Platform, found: Sequence[HeldClaim], region: Callable[[HeldClaim], Region]
) -> Iterable[tuple[str, list[HeldClaim]]]:
    groups: dict[str, list[HeldClaim]] = {}
    for claim in found:
        groups.setdefault(platform.engines.home(region(claim)), []).append(claim)
    return groups.items()


async def _adopt_seats(platform: Platform, shard: str, done: Recovered) -> None:
    after = FIRST
    while True:
        async with platform.session(_region(platform, shard)) as session, session.begin():
            found = await session.run_sync(crud.unclaimed_enrollments, after=after)
        if not found:
            return
        after = found[-1].enrollment_id
        for each in found:
            await _note(done, _adopt_seat(platform, each, done))


async def _adopt_seat(platform: Platform, each: Unclaimed, done: Recovered) -> None:
    region = region_of(each.enrollment_id)
    claim = await claims.claim_seat(
        platform, new_id(region), each.course_id, each.user_id, forced=True
    )
    async with platform.session(region) as session, session.begin():
        await session.run_sync(crud.adopt_claim, each.enrollment_id, claim.id)
    await claims.confirm(platform, claim)
    done.adopted += 1


async def _adopt_emails(platform: Platform, shard: str, done: Recovered) -> None:
    for key in claims.email_keys(platform):
        after: UUID | None = None
        while True:
            async with platform.session(_region(platform, shard)) as session, session.begin():
                found = await session.run_sync(crud.unclaimed_users, key_id(key), after=after)
            if not found:
                break
            for user_id, email in found:
                await _note(done, _adopt_email(platform, user_id, email, key, done))
            after = found[-1][0]


async def _adopt_email(
    platform: Platform, user_id: UUID, email: str, key: str, done: Recovered
) -> None:
    region = region_of(user_id)
    claim = EmailClaim(new_id(region), email_hash(key, email))
    held: HeldClaim | None = None
    there = platform.engines.home(home_of_hash(claim.fact))
    if there != platform.engines.home(region):
        held = await platform.on_primary(there, crud.claim_email, claim, user_id)
        if held.holder_id != user_id:
            raise _taken(user_id)
        claim = EmailClaim(held.id, claim.fact)
    try:
        async with platform.session(region) as session, session.begin():
            await session.run_sync(crud.adopt_email, user_id, email, claim)
    except EmailTaken:
        raise _taken(user_id) from None
    if held is not None:
        await claims.confirm(platform, held)
    done.adopted += 1


def _taken(user_id: UUID) -> EmailTaken:
    # Whose else it is, is not told, nor the address: that is known at home only.
    return EmailTaken(f"user {user_id} has an address that another account claims: change one")


async def _fold(platform: Platform, shard: str, done: Recovered) -> None:
    done.folded += await platform.on_primary(shard, crud.fold_platform_counters)


async def _prune(platform: Platform, shard: str, done: Recovered) -> None:
    done.pruned += await platform.on_primary(shard, crud.prune_claims)
    await platform.on_primary(shard, crud.prune_user_tokens)
    if aside := await platform.on_primary(shard, count_set_aside):
        done.problems.append(
            f"{aside} message(s) in the outbox of shard {shard} are set aside: their column "
            "'problem' tells why; set it to NULL to try them again"
        )


def _region(platform: Platform, shard: str) -> str:
    return platform.settings.shard(shard).regions[0]
