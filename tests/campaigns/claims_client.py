"""A client of the claims' campaigns: a process with a platform, which acts until it is killed."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import select

from elearning.config import Settings
from elearning.errors import (
    AlreadyEnrolled,
    ClaimReleased,
    CourseFull,
    CourseNotCopied,
    EmailTaken,
    EnrollmentNotActive,
    NodeUnavailable,
    PoolExhausted,
    SeatsFree,
)
from elearning.flows import (
    NewUser,
    Platform,
    cancel_enrollment,
    claims,
    enroll,
    join_waitlist,
    leave_waitlist,
    recover,
    register,
)
from elearning.ids import new_id
from elearning.models import Enrollment, EnrollmentStatus
from elearning.regions import Region
from elearning.routing import Consistency
from tests.campaigns.claims_broken import look_only
from tests.campaigns.claims_steps import Kill, Steps

__all__ = ["Enrolling", "Recovering", "Registering", "Report", "serve"]

_AT_ONCE = 3  # requests of a client
_EXPECTED = (
    AlreadyEnrolled,
    ClaimReleased,
    CourseFull,
    CourseNotCopied,
    EmailTaken,
    EnrollmentNotActive,
    NodeUnavailable,
    PoolExhausted,
    SeatsFree,
)


@dataclass(frozen=True)
class Enrolling:
    """Act for users of the client's region for so long.

    Attributes:
        seed: of all that is chosen.
        kill: when to die.
        seconds: how long to act.
        users: for whom.
        courses: what everybody fights for.
        quiet: courses where there may be a seat.
    """

    seed: str
    kill: Kill | None
    seconds: float
    users: tuple[UUID, ...]
    courses: tuple[UUID, ...]
    quiet: tuple[UUID, ...]


@dataclass(frozen=True)
class Registering:
    """Register these addresses, in an order of one's own."""

    seed: str
    kill: Kill | None
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Recovering:
    """Recover what was cut off."""


Orders = Enrolling | Registering | Recovering


@dataclass
class Report:
    """What a client has done and met, and what must not happen at all."""

    met: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def serve(
    settings: Settings, region: Region, note: Path, orders: Connection, *, broken: bool
) -> None:
    """Do what is ordered, and report, until there is nothing more.

    Args:
        settings: that lead to the databases.
        region: the client's.
        note: a file that tells where it was killed.
        orders: where they come from, and reports go to.
        broken: whether claims are settled by a look alone.
    """
    if broken:
        claims.decide = look_only
    # What a broken server leaves for later is told at every turn.
    logging.disable(logging.WARNING)
    asyncio.run(_serve(settings, region, note, orders))


async def _serve(settings: Settings, region: Region, note: Path, orders: Connection) -> None:
    steps = Steps(note)
    wrapped = False
    async with Platform(settings, pool_timeout=10.0) as platform:
        client = _Client(platform, region)
        while (order := await asyncio.to_thread(_receive, orders)) is not None:
            if not wrapped and not isinstance(order, Recovering):
                wrapped = True
                if isinstance(order, Enrolling):
                    steps.wrap_seats(sys.modules[__name__])
                else:
                    steps.wrap_emails()
            steps.arm(None if isinstance(order, Recovering) else order.kill)
            report = await client.do(order)
            steps.arm(None)
            orders.send(report)


def _receive(orders: Connection) -> Orders | None:
    try:
        order: Orders | None = orders.recv()
    except EOFError:
        # Whoever has started this process is gone.
        return None
    return order


class _Client:
    def __init__(self, platform: Platform, region: Region) -> None:
        self._platform = platform
        self._region = region
        self._report = Report()

    async def do(self, order: Orders) -> Report:
        self._report = Report()
        asyncio.get_running_loop().set_exception_handler(self._unexpected)
        if isinstance(order, Recovering):
            await self._meet(self._recover)
        elif isinstance(order, Enrolling):
            end = monotonic() + order.seconds
            randoms = [Random(f"{order.seed}-{number}") for number in range(_AT_ONCE)]
            working = [self._enroll(order, random, end) for random in randoms]
            if _goes_to(order.kill, "decide", "release"):
                working.append(self._leave_claims(order, Random(order.seed), end))
            await asyncio.gather(*working)
        else:
            await self._register(order, Random(order.seed))
        await self._meet(self._platform.background.finish)
        return self._report

    def _unexpected(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._report.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    async def _meet(self, action: Callable[..., Awaitable[object]], *args: Any) -> bool:
        """Do something; tell whether it went well. What nobody has promised is a problem."""
        name = action.__name__.strip("_")
        try:
            await action(*args)
        except _EXPECTED as error:
            self._report.met[f"{name}: {type(error).__name__}"] += 1
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to be told
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._report.problems.append(
                f"{name}: {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            )
            return False
        self._report.met[name] += 1
        return True

    async def _enroll(self, order: Enrolling, random: Random, end: float) -> None:
        actions: dict[Callable[..., Awaitable[object]], int] = {
            self._take_seat: 50,
            self._cancel: 60 if _goes_to(order.kill, "deliver", "offer", "cancel") else 25,
            self._leave: 4,
            self._cut_off: 3,
            self._recover: 3,
        }
        while monotonic() < end:
            (action,) = random.choices([*actions], [*actions.values()])
            if action == self._recover:
                await self._meet(action)
                continue
            user_id, course_id = random.choice(order.users), random.choice(order.courses)
            if action == self._cancel:
                await self._meet(action, random, order)
            elif (
                not await self._meet(action, user_id, course_id)
                and action == self._take_seat
                and random.random() < 0.5
            ):
                await self._meet(self._join, user_id, course_id)

    async def _leave_claims(self, order: Enrolling, random: Random, end: float) -> None:
        """Leave claims behind, and settle them: that is rare without a failure."""
        while monotonic() < end:
            if await self._meet(
                self._cut_off, random.choice(order.users), random.choice(order.quiet)
            ):
                await self._meet(self._recover)

    async def _take_seat(self, user_id: UUID, course_id: UUID) -> None:
        await enroll(self._platform, user_id, course_id)

    async def _join(self, user_id: UUID, course_id: UUID) -> None:
        await join_waitlist(self._platform, user_id, course_id)

    async def _leave(self, user_id: UUID, course_id: UUID) -> None:
        await leave_waitlist(self._platform, user_id, course_id)

    async def _cancel(self, random: Random, order: Enrolling) -> None:
        """Cancel what anybody of this region has, also by another client."""
        async with self._platform.read_session(
            self._region, consistency=Consistency.PRIMARY
        ) as session:
            found = (
                await session.scalars(
                    select(Enrollment.id).where(
                        Enrollment.user_id.in_(order.users),
                        Enrollment.course_id.in_(order.courses),
                        Enrollment.status == EnrollmentStatus.ACTIVE,
                    )
                )
            ).all()
        if found:
            await cancel_enrollment(self._platform, random.choice(found))

    async def _cut_off(self, user_id: UUID, course_id: UUID) -> None:
        """Claim a seat, and do no more: as a request that was cut off."""
        await claims.claim_seat(self._platform, new_id(self._region), course_id, user_id)

    async def _recover(self) -> None:
        # In the middle of what others do: nothing is too young.
        await recover(self._platform, age=0, adopt=False)

    async def _register(self, order: Registering, random: Random) -> None:
        addresses = random.sample(order.addresses, len(order.addresses))
        waiting = iter(addresses)

        async def some() -> None:
            for address in waiting:
                await self._meet(self._account, address)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
        if _goes_to(order.kill, "decide", "release"):
            await self._meet(self._recover)

    async def _account(self, address: str) -> None:
        user = NewUser(region=self._region, email=address, first_name="A", last_name="B")
        await register(self._platform, user)


def _goes_to(kill: Kill | None, *steps: str) -> bool:
    return kill is not None and kill.step.split()[0] in steps
