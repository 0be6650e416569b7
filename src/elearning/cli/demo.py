"""The demo: the architecture at work, step by step, for a person to follow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from elearning.cli.output import console, mark, print_health, print_migrated, print_migrated_header
from elearning.cli.reconciling import print_mesh
from elearning.cli.tracing import Trace
from elearning.cluster.embedded import EmbeddedCluster, ephemeral_cluster
from elearning.cluster.health import check_health
from elearning.cluster.mesh import reconcile_mesh
from elearning.cluster.migrations import migrate
from elearning.config import Settings
from elearning.crud import NewUser, get_user_by_email
from elearning.errors import (
    AlreadyEnrolled,
    ClusterError,
    CourseFull,
    ElearningError,
    MeshError,
    MigrationError,
    UserNotFound,
)
from elearning.flows import (
    Enrolled,
    Platform,
    SimulatedGateway,
    complete_lesson,
    deliver_all,
    enroll,
    join_waitlist,
    purchase,
    register,
)
from elearning.flows import get_user_by_email as get_user_anywhere
from elearning.importing.catalog import load_catalog, read_people
from elearning.models import Course, CourseStatus, Invoice, User
from elearning.regions import Region
from elearning.routing import Consistency, Token

__all__ = ["run_demo"]

_MINUTES = 5 * 60


def run_demo(folder: Path, fixtures: Path, *, keep: bool) -> None:
    """Start a cluster, migrate it, load the fixtures and run all flows in all regions.

    Args:
        folder: where the cluster is kept with ``keep``; else it is a temporary one.
        fixtures: the sample data.
        keep: leave the servers running.
    """
    start = monotonic()
    console.rule("1. servers")
    with _cluster(folder, keep=keep) as cluster:
        settings = Settings.from_mapping(cluster.environment())
        console.rule("2. one history of migrations, every shard")
        width = max(len(shard.name) for shard in settings.shards)
        print_migrated_header(width)
        for result in migrate(settings):
            print_migrated(result, width)
            if result.error is not None:
                raise MigrationError(shard=result.shard, problem=result.error)
        mesh = reconcile_mesh(settings)
        print_mesh(mesh)
        if not mesh.ok:
            raise MeshError(problem=mesh.problem)
        asyncio.run(_Demo(settings, fixtures).run())
        console.rule("health")
        print_health(check_health(settings))
        console.print(f"\nthe whole demo took {monotonic() - start:.1f} s")
        if keep:
            console.print(
                f"the servers keep running; their settings are in {cluster.env_file}\n"
                "look around:  elearning status, elearning health, elearning migrate\n"
                "stop them:    elearning down",
                soft_wrap=True,
            )


@contextmanager
def _cluster(folder: Path, *, keep: bool) -> Iterator[EmbeddedCluster]:
    def report(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    start = monotonic()
    if keep:
        cluster = EmbeddedCluster(folder, report=report)
        cluster.up()
        _print_ready(cluster, start)
        yield cluster
        return
    with ephemeral_cluster(durable=True, report=report) as cluster:
        _print_ready(cluster, start)
        yield cluster
        console.print("the servers stop now, and their data goes; --keep leaves them")


def _print_ready(cluster: EmbeddedCluster, start: float) -> None:
    nodes = cluster.status()
    if not all(node.running for node in nodes):
        down = ", ".join(node.name for node in nodes if not node.running)
        message = f"{down} stopped right after the start"
        raise ClusterError(message)
    names = ", ".join(f"{node.name} :{node.port}" for node in nodes)
    console.print(f"{mark(ok=True)} {names}", soft_wrap=True)
    console.print(f"ready in {monotonic() - start:.1f} s")


@dataclass(slots=True)
class _Demo:
    settings: Settings
    fixtures: Path
    trace: Trace = field(default_factory=Trace)
    gateway: SimulatedGateway = field(default_factory=SimulatedGateway)

    async def run(self) -> None:
        async with Platform(self.settings, listeners=[self.trace]) as platform:
            self.trace.watch(platform.engines)
            console.rule("3. a catalog for every region, from fixtures/")
            for region in Region:
                await self._load(platform, region)
            console.rule("4. people in all six regions: register, learn, pay")
            people = read_people(self.fixtures / "people.toml")
            for person in people:
                await self._person(platform, person)
            console.rule("5. courses of other regions, from their copies")
            for person in people:
                await self._abroad(platform, person)
            console.rule("6. what is refused, and changes nothing")
            await self._refusals(platform, people)

    async def _load(self, platform: Platform, region: Region) -> None:
        file = self.fixtures / f"{region}.toml"
        with self.trace.step() as told:
            async with platform.session(region) as session, session.begin():
                counts = await session.run_sync(load_catalog, region, file)
            delivered = await deliver_all(platform)
        _tell(
            f"{region}: {counts.courses} courses, {counts.lessons} lessons in PostgreSQL, "
            f"{delivered} documents in MongoDB",
            told,
        )

    async def _person(self, platform: Platform, person: NewUser) -> None:
        token = Token()  # what this person has written, and so must see
        console.print(f"[bold]{person.first_name} {person.last_name}[/] in {person.region}")
        found = await self._find(platform, person, token)
        if found is not None:
            console.print("  is here already, from an earlier demo")
            return
        with self.trace.step() as told:
            user_id = await register(platform, person, token=token)
        _tell("  registered", told)
        with self.trace.step() as told:
            found = await self._find(platform, person, token)
        _tell(f"  looked up by email: {found.email if found else 'not found'}", told)
        course = await self._course_for(platform, person)
        with self.trace.step() as told:
            enrolled = await enroll(platform, user_id, course, token=token)
        lessons = [lesson for module in enrolled.curriculum for lesson in module.lessons]
        documents = sum(len(lesson.content_ids) for lesson in lessons)
        _tell(
            f"  enrolled in “{enrolled.course_title}”: {len(lessons)} lessons, "
            f"{documents} documents",
            told,
        )
        await self._learn(platform, enrolled, token)
        with self.trace.step() as told:
            invoice_id = await purchase(platform, user_id, course, self.gateway, token=token)
        async with platform.session(token=token) as session:
            invoice = await session.get_one(Invoice, invoice_id)
        _tell(
            f"  paid {invoice.total} {invoice.currency} ({invoice.tax} of it tax): "
            f"invoice {invoice.invoice_number}",
            told,
        )

    async def _abroad(self, platform: Platform, person: NewUser) -> None:
        """Take a course of the other side of the world, or wait for a seat in it."""
        regions = list(Region)
        far = regions[(regions.index(Region.parse(person.region)) + 3) % len(regions)]
        user = await get_user_anywhere(platform, person.email)
        if user is None:
            raise UserNotFound(user_id=person.email)
        course = await self._course_of(platform, far)
        with self.trace.step() as told:
            try:
                enrolled = await enroll(platform, user.id, course)
                answer = f"enrolled in “{enrolled.course_title}”"
            except CourseFull:
                answer = f"full: waits as number {await join_waitlist(platform, user.id, course)}"
            except AlreadyEnrolled:
                answer = "enrolled already, from an earlier demo"
        _tell(f"{person.first_name} of {person.region}, in a course of {far}: {answer}", told)

    async def _learn(self, platform: Platform, enrolled: Enrolled, token: Token) -> None:
        for module in enrolled.curriculum:
            with self.trace.step() as told:
                for lesson in module.lessons:
                    progress = await complete_lesson(
                        platform,
                        enrolled.enrollment_id,
                        lesson.lesson_id,
                        time_spent=_MINUTES,
                        token=token,
                    )
            _tell(f"  completed “{module.title}”: {progress.percentage} %, {progress.status}", told)

    async def _find(
        self, platform: Platform, person: NewUser, token: Token | str = ""
    ) -> User | None:
        async with platform.session(person.region, token=token) as session:
            return await session.run_sync(get_user_by_email, person.email)

    async def _id_of(self, platform: Platform, person: NewUser) -> UUID:
        async with platform.session(person.region, consistency=Consistency.PRIMARY) as session:
            found = await session.run_sync(get_user_by_email, person.email)
        if found is None:
            raise UserNotFound(user_id=person.email)
        return found.id

    async def _course_for(self, platform: Platform, person: NewUser) -> UUID:
        return await self._course_of(platform, Region.parse(person.region))

    async def _course_of(self, platform: Platform, region: Region) -> UUID:
        async with platform.session(region, consistency=Consistency.PRIMARY) as session:
            return await session.run_sync(_first_published, region)

    async def _refusals(self, platform: Platform, people: list[NewUser]) -> None:
        person = people[0]
        user_id = await self._id_of(platform, person)
        neighbor_id = await self._id_of(platform, next(p for p in people if p.region == "oceania"))
        course = await self._course_for(platform, person)
        full = await self._course_for(platform, next(p for p in people if p.region == "asia"))
        attempts = [
            ("the same address again", register(platform, person)),
            ("the same course again", enroll(platform, user_id, course)),
            ("a seat in a course whose two seats are taken", enroll(platform, neighbor_id, full)),
            (
                "a price below zero",
                purchase(platform, user_id, course, self.gateway, amount=-1, currency="EUR"),
            ),
        ]
        for what, attempt in attempts:
            with self.trace.step() as told:
                answer = "was not refused"
                try:
                    await attempt
                except ElearningError as error:
                    answer = f"{type(error).__name__}: {error}"
            _tell(f"{what} → {answer}", told)


def _first_published(session: Session, region: Region) -> UUID:
    courses = session.scalars(
        select(Course).where(Course.status == CourseStatus.PUBLISHED).order_by(Course.id)
    )
    return next(course.id for course in courses if course.id.bytes[7] == region.code)


def _tell(what: str, told: list[str]) -> None:
    nodes, time = told
    console.print(what, markup=False, soft_wrap=True, end="")
    console.print(f"  [dim]{nodes}  {time}[/]", soft_wrap=True)
