"""What it costs that a course and an address are the whole world's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from statistics import median
from time import perf_counter
from uuid import UUID

from rich.table import Table
from sqlalchemy import select

from benchmarks.people import people
from benchmarks.timing import duration, measure_async, ratios
from elearning.config import Settings
from elearning.email_hash import email_hash, home_of_hash
from elearning.flows import NewUser, Platform, enroll, register
from elearning.models import Course
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.copies import wait_copied
from elearning.testing.factories import CourseFactory, CourseLessonFactory, bound
from elearning.testing.proxies import Proxies

ROUNDS = 60
WARM_UP = 10
FAR_ROUNDS = 15
ONE_WAY = 0.02  # seconds; a round trip takes two of them

_NEAR, _FAR = "of the same shard", "of another shard"
_AWAY = "of another shard, 40 ms away"
_PLAIN, _CLAIMED = "one shard, no claim", "with its claim on another shard"

Runs = Mapping[str, Callable[[], Awaitable[object]]]


def enrollments(engines: Engines) -> Table:
    """Enroll in courses with a limit, near and far, by the flow."""
    with Proxies(engines.settings, ["na-primary", "na-replica-1"]) as proxies:
        times = asyncio.run(_enrollments(engines, proxies))
    return ratios(
        "enroll by the flow in a course with a limit",
        [times],
        {_FAR: "<= 2.5", _AWAY: "80 ms more at most"},
    )


async def _enrollments(engines: Engines, proxies: Proxies) -> dict[str, list[float]]:
    number = ROUNDS + WARM_UP + FAR_ROUNDS + 5
    students = {name: iter(people(engines, Region.EUROPE, number)) for name in (_NEAR, _FAR, _AWAY)}
    near, far = _course(engines, Region.EUROPE), _course(engines, Region.NORTH_AMERICA)
    wait_copied(engines)
    async with Platform(proxies.settings) as platform:

        def into(name: str, course_id: UUID) -> Callable[[], Awaitable[object]]:
            async def run() -> object:
                return await enroll(platform, next(students[name]), course_id)

            return run

        runs = {_NEAR: into(_NEAR, near), _FAR: into(_FAR, far)}
        times = await _measure(platform, runs, ROUNDS, WARM_UP)
        with _latency(proxies):
            away = await _measure(platform, {_AWAY: into(_AWAY, far)}, FAR_ROUNDS, 3)
    # As many as there are rounds of the others: the ratio is of rounds.
    middle = median(away[_AWAY])
    return {**times, _AWAY: [middle] * len(times[_NEAR])}


def registrations(engines: Engines) -> Table:
    """Register in Europe, with and without a claim elsewhere."""
    times = asyncio.run(_registrations(engines.settings))
    return ratios("register by the flow", [times], {_CLAIMED: "<= 2.5"})


async def _registrations(settings: Settings) -> dict[str, list[float]]:
    alone = replace(settings, shards=(settings.shard("eu"),), email_keys=())
    numbers = count()

    def elsewhere() -> Iterator[str]:
        for number in numbers:
            email = f"far{number}@example.com"
            owner = settings.home(home_of_hash(email_hash(settings.email_keys[0], email)))
            if owner.name != "eu":
                yield email

    emails = elsewhere()
    async with Platform(settings) as platform, Platform(alone) as single:

        async def plain() -> object:
            return await register(single, _person(f"near{next(numbers)}@example.com"))

        async def claimed() -> object:
            return await register(platform, _person(next(emails)))

        return await _measure(platform, {_PLAIN: plain, _CLAIMED: claimed}, ROUNDS, WARM_UP)


def copies(engines: Engines) -> Table:
    """How soon a new course can be enrolled in from elsewhere, and read on all other shards."""
    table = Table("", "median", "p95", "target", title="a new course, from its COMMIT on")
    for name, times in (
        ("until somebody of another shard is enrolled", asyncio.run(_enrolled(engines))),
        ("until the replicas of all shards have it", _readable(engines)),
    ):
        p95 = sorted(times)[int(len(times) * 0.95)]
        table.add_row(name, duration(median(times)), duration(p95), "<= 1 s")
    return table


async def _enrolled(engines: Engines) -> list[float]:
    students = people(engines, Region.EUROPE, FAR_ROUNDS * 2)
    times: list[float] = []
    async with Platform(engines.settings) as platform:
        for student in students:
            course_id = _course(engines, Region.ASIA)
            start = perf_counter()
            await enroll(platform, student, course_id)
            times.append(perf_counter() - start)
            await platform.background.finish()
    return times


def _readable(engines: Engines) -> list[float]:
    times: list[float] = []
    for _ in range(FAR_ROUNDS * 2):
        course_id = _course(engines, Region.ASIA)
        start = perf_counter()
        for region in (Region.EUROPE, Region.NORTH_AMERICA):
            found = None
            while found is None:
                with RoutingSession(
                    engines=engines, region=region, consistency="eventual"
                ) as session:
                    found = session.scalar(select(Course.id).where(Course.id == course_id))
        times.append(perf_counter() - start)
    return times


async def _measure(
    platform: Platform, runs: Runs, rounds: int, warm_up: int
) -> dict[str, list[float]]:
    """Measure until the answer; the background is done before the next turn."""

    async def turn(run: Callable[[], Awaitable[object]], times: list[float]) -> None:
        await platform.background.finish()
        start = perf_counter()
        await run()
        times.append(perf_counter() - start)

    measured: dict[str, list[float]] = {name: [] for name in runs}
    await measure_async(
        {name: partial(turn, run, measured[name]) for name, run in runs.items()},
        rounds,
        warm_up=warm_up,
    )
    return {name: times[warm_up:] for name, times in measured.items()}


def _person(email: str) -> NewUser:
    return NewUser(region=Region.EUROPE, email=email, first_name="Ada", last_name="Lovelace")


def _course(engines: Engines, region: Region) -> UUID:
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        course = CourseFactory.create(instructor__region=region, max_enrollments=100_000)
        for position in range(1, 6):
            CourseLessonFactory.create(module__course=course, position=position)
        course_id = course.id
        session.commit()
    return course_id


@contextmanager
def _latency(proxies: Proxies) -> Iterator[None]:
    for proxy in proxies.values():
        proxy.latency = ONE_WAY
    try:
        yield
    finally:
        for proxy in proxies.values():
            proxy.latency = 0
