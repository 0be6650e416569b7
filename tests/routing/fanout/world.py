"""The same rows twice: spread over three shards, and all together on one database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, insert, make_url, text

from elearning.cluster.embedded import EmbeddedCluster
from elearning.ids import region_of
from elearning.models import (
    Base,
    Course,
    CourseCategory,
    CourseModule,
    Enrollment,
    HostedRegion,
    PaymentMethod,
    Record,
    Transaction,
    User,
    UserProfile,
)
from elearning.regions import Region
from elearning.routing import Engines
from elearning.testing.copies import wait_copied

__all__ = ["Rows", "fill", "make_rows", "one_database", "rate", "spread"]

Rows = dict[type[Record], list[dict[str, Any]]]

NAMES = [
    "Zoë",
    "zoe",
    "Ada",
    "ada",
    "Ångström",
    "Ærø",
    "ß",
    "Ы",
    "一",
    "🙂",
    "￮",
    "a b",
    "a-b",
    "é",
]
START = datetime(2024, 1, 1, tzinfo=UTC)
BIG = 2**62


class Maker:
    """Makes rows of all regions, with many equal values and NULLs; always the same.

    Args:
        abroad: whether people take courses of other shards, of which theirs has copies.
        users: how many there are in each region.
    """

    def __init__(self, *, abroad: bool, users: int) -> None:
        self.abroad = abroad
        self.users = users
        self.rows: Rows = defaultdict(list)
        self.chance = Random(7)
        self.serial = count(1)

    def add(self, model: type[Record], home: Region, /, **values: Any) -> UUID:
        row_id = UUID(
            int=self.chance.getrandbits(48) << 80
            | 0x8 << 76
            | home.code << 64
            | 0x2 << 62
            | next(self.serial)
        )
        created = START + timedelta(hours=self.chance.randrange(30))
        self.rows[model].append({"id": row_id, "created_at": created, "updated_at": START} | values)
        return row_id

    def maybe(self, value: Any) -> Any:
        return None if self.chance.random() < 0.3 else value

    def make(self) -> Rows:
        people = {region: self.people(region) for region in Region}
        courses = {region: self.courses(region, people[region]) for region in Region}
        for region in Region:
            near = [
                course
                for other in Region
                if self.abroad or _pair(other) == _pair(region)
                for course in courses[other]
            ]
            for user in people[region]:
                self.profile(region, user)
                self.places(region, user, near)
                self.payments(region, user, near)
        return self.rows

    def people(self, region: Region) -> list[UUID]:
        choice = self.chance.choice
        return [
            self.add(
                User,
                region,
                region=region.value,
                email=f"u{next(self.serial)}@example.com",
                first_name=choice(NAMES),
                last_name=choice(NAMES),
                user_type=choice(["student", "instructor"]),
                status=choice(["active", "inactive"]),
                last_login=self.maybe(START + timedelta(days=self.chance.randrange(5))),
            )
            for _ in range(self.users)
        ]

    def courses(self, region: Region, people: list[UUID]) -> list[UUID]:
        choice, maybe = self.chance.choice, self.maybe
        subjects = [
            self.add(
                CourseCategory, region, category_name=f"S{n}{region}", slug=f"s{n}", parent_id=None
            )
            for n in range(2)
        ]
        courses = [
            self.add(
                Course,
                region,
                course_code=f"C{n}",
                slug=f"c{n}",
                title=choice(NAMES),
                instructor_id=choice(people),
                category_id=maybe(choice(subjects)),
                price=choice([0, 1, 999, 999, BIG, BIG + 1]),
                currency="EUR",
                language="en",
                duration_hours=maybe(choice([Decimal("1.50"), Decimal("9999.99"), Decimal("NaN")])),
                status="draft",
                max_enrollments=maybe(choice([1, 2, 2**31 - 1])),
                rating_sum=choice([-BIG, -3, 0, 0, 7, BIG]),
            )
            for n in range(6)
        ]
        for course in courses[:3]:
            for position in (1, 2):
                self.add(CourseModule, region, course_id=course, position=position, title="M")
        return courses

    def profile(self, region: Region, user: UUID) -> None:
        choice, maybe = self.chance.choice, self.maybe
        if self.chance.random() < 0.7:
            self.add(
                UserProfile,
                region,
                user_id=user,
                date_of_birth=maybe(date(choice([1990, 1991, 1992]), 1, 1)),
                country=maybe(choice(["DE", "FR"])),
                city=maybe(choice(NAMES)),
            )
        if self.chance.random() < 0.3:
            self.add(PaymentMethod, region, user_id=user, method_type="paypal")

    def places(self, region: Region, user: UUID, near: list[UUID]) -> None:
        for course in self.chance.sample(near, self.chance.randrange(4)):
            lessons = self.chance.randrange(4)
            self.add(
                Enrollment,
                region,
                user_id=user,
                course_id=course,
                status=self.chance.choice(["active", "dropped"]),
                enrollment_date=START + timedelta(days=self.chance.randrange(3)),
                total_lessons=lessons,
                completed_lessons=self.chance.randrange(lessons + 1),
                last_accessed=self.maybe(START + timedelta(seconds=self.chance.randrange(4))),
            )

    def payments(self, region: Region, user: UUID, near: list[UUID]) -> None:
        for _ in range(self.chance.randrange(3)):
            self.add(
                Transaction,
                region,
                user_id=user,
                course_id=self.maybe(self.chance.choice(near)),
                amount=self.chance.choice([0, 5, 5, 1999, 10**12, BIG]),
                currency=self.chance.choice(["EUR", "JPY"]),
                gateway="simulated",
            )


def make_rows(*, abroad: bool, users: int = 20) -> Rows:
    """Return rows of all regions; see `Maker`."""
    return Maker(abroad=abroad, users=users).make()


def _pair(region: Region) -> int:
    """Return a number that two regions of one shard have in common."""
    return (region.code + 1) // 2


@contextmanager
def one_database(cluster: EmbeddedCluster, name: str) -> Iterator[Engine]:
    """Make a database beside the one of eu, with our tables."""
    url = make_url(cluster.url("eu-primary", "postgres")).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(url.set(database=name))
    try:
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(
                insert(HostedRegion), [{"region_code": region.code} for region in Region]
            )
        yield engine
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


def fill(connection: Connection, rows: Rows, regions: Iterable[Region]) -> None:
    """Write the rows of some regions."""
    # No trigger and no foreign key: the rows are as they are.
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    for table in Base.metadata.sorted_tables:
        for model, values in rows.items():
            if model.__table__ is table:
                own = [row for row in values if region_of(row["id"]) in set(regions)]
                if own:
                    connection.execute(insert(table), own)


def rate(connection: Connection, rows: Rows) -> None:
    """Give courses the ratings of their rows; each shard sums them up for itself, from nothing."""
    connection.execute(
        text("UPDATE courses SET rating_sum = :rating_sum WHERE id = :id"),
        [{"id": row["id"], "rating_sum": row["rating_sum"]} for row in rows[Course]],
    )


@contextmanager
def spread(cluster: EmbeddedCluster, engines: Engines, rows: Rows) -> Iterator[None]:
    """Write rows to the shards that they belong to, and wait for the copies of courses."""
    with ExitStack() as stack:
        owners: dict[str, Engine] = {}
        for shard in engines.settings.shards:
            url = make_url(cluster.url(f"{shard.name}-primary", "postgres"))
            owners[shard.name] = create_engine(url.set(drivername="postgresql+psycopg"))
            stack.callback(owners[shard.name].dispose)
        for shard in engines.settings.shards:
            with owners[shard.name].begin() as connection:
                fill(connection, rows, shard.regions)
        wait_copied(engines)
        for owner in owners.values():
            with owner.begin() as connection:
                rate(connection, rows)
                connection.execute(text("ANALYZE"))
        yield
