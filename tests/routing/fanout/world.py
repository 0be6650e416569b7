"""The same rows twice: spread over three shards, and all together on one database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, insert, make_url, text

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.ids import region_of
from elearning.models import (
    Base,
    Course,
    CourseCategory,
    CourseModule,
    Enrollment,
    Global,
    HostedRegion,
    PaymentMethod,
    Record,
    Transaction,
    User,
    UserProfile,
)
from elearning.regions import Region

__all__ = ["Rows", "fill", "make_rows", "one_database", "spread"]

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


def make_rows(*, copied: bool, users: int = 40) -> Rows:
    """Return rows of all regions, with many equal values and NULLs; always the same.

    Args:
        copied: whether people take courses of other shards, of which theirs has copies.
        users: how many there are in each region.
    """
    chance = Random(7)  # noqa: S311 - test data
    rows: Rows = defaultdict(list)
    serial = iter(range(1, 1_000_000))
    shard = {
        region: region.code // 2 if region.code % 2 == 0 else region.code // 2 + 1
        for region in Region
    }

    def add(model: type[Record], home: Region, /, **values: Any) -> UUID:
        row_id = UUID(
            int=chance.getrandbits(48) << 80
            | 0x8 << 76
            | home.code << 64
            | 0x2 << 62
            | next(serial)
        )
        times = {"created_at": START + timedelta(hours=chance.randrange(30)), "updated_at": START}
        rows[model].append({"id": row_id, **times, **values})
        return row_id

    def maybe(value: Any) -> Any:
        return None if chance.random() < 0.3 else value

    people = {
        region: [
            add(
                User,
                region,
                region=region.value,
                email=f"u{next(serial)}@example.com",
                first_name=chance.choice(NAMES),
                last_name=chance.choice(NAMES),
                user_type=chance.choice(["student", "instructor"]),
                status=chance.choice(["active", "inactive"]),
                last_login=maybe(START + timedelta(days=chance.randrange(5))),
            )
            for _ in range(users)
        ]
        for region in Region
    }
    courses: dict[Region, list[UUID]] = {}
    for region in Region:
        subjects = [
            add(CourseCategory, region, category_name=f"S{n}{region}", slug=f"s{n}", parent_id=None)
            for n in range(2)
        ]
        courses[region] = [
            add(
                Course,
                region,
                course_code=f"C{n}",
                slug=f"c{n}",
                title=chance.choice(NAMES),
                instructor_id=chance.choice(people[region]),
                category_id=maybe(chance.choice(subjects)),
                price=chance.choice([0, 1, 999, 999, BIG, BIG + 1]),
                currency="EUR",
                language="en",
                duration_hours=maybe(
                    chance.choice([Decimal("1.50"), Decimal("9999.99"), Decimal("NaN")])
                ),
                status="draft",
                max_enrollments=maybe(chance.choice([1, 2, 2**31 - 1])),
                rating_sum=chance.choice([-BIG, -3, 0, 0, 7, BIG]),
            )
            for n in range(6)
        ]
        for course in courses[region][:3]:
            for position in range(1, 3):
                add(CourseModule, region, course_id=course, position=position, title="M")
    for region in Region:
        near = [
            course
            for other in Region
            if copied or shard[other] == shard[region]
            for course in courses[other]
        ]
        for user in people[region]:
            if chance.random() < 0.7:
                add(
                    UserProfile,
                    region,
                    user_id=user,
                    date_of_birth=maybe(date(1990 + chance.randrange(3), 1, 1)),
                    country=maybe(chance.choice(["DE", "FR"])),
                    city=maybe(chance.choice(NAMES)),
                )
            if chance.random() < 0.3:
                add(PaymentMethod, region, user_id=user, method_type="paypal")
            for course in chance.sample(near, chance.randrange(4)):
                lessons = chance.randrange(4)
                add(
                    Enrollment,
                    region,
                    user_id=user,
                    course_id=course,
                    status=chance.choice(["active", "dropped"]),
                    enrollment_date=START + timedelta(days=chance.randrange(3)),
                    total_lessons=lessons,
                    completed_lessons=chance.randrange(lessons + 1),
                    last_accessed=maybe(START + timedelta(seconds=chance.randrange(4))),
                )
            for _ in range(chance.randrange(3)):
                add(
                    Transaction,
                    region,
                    user_id=user,
                    course_id=maybe(chance.choice(near)),
                    amount=chance.choice([0, 5, 5, 1999, 10**12, BIG]),
                    currency=chance.choice(["EUR", "JPY"]),
                    gateway="simulated",
                )
    return rows


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


def fill(connection: Connection, rows: Rows, regions: Iterable[Region], *, copied: bool) -> None:
    """Write the rows of some regions, and all of the catalog where it is copied."""
    # No trigger and no foreign key: the rows are as they are.
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    for table in Base.metadata.sorted_tables:
        for model, values in rows.items():
            if model.__table__ is table:
                everywhere = copied and issubclass(model, Global)
                own = [row for row in values if everywhere or region_of(row["id"]) in set(regions)]
                if own:
                    connection.execute(insert(table), own)


@contextmanager
def spread(
    cluster: EmbeddedCluster, settings: Settings, rows: Rows, *, copied: bool
) -> Iterator[None]:
    """Write rows to the shards that they belong to, and take them away again."""
    engines = {
        shard.name: create_engine(
            make_url(cluster.url(f"{shard.name}-primary", "postgres")).set(
                drivername="postgresql+psycopg"
            )
        )
        for shard in settings.shards
    }
    try:
        for shard in settings.shards:
            with engines[shard.name].begin() as connection:
                fill(connection, rows, shard.regions, copied=copied)
                connection.execute(text("ANALYZE"))
        yield
    finally:
        for engine in engines.values():
            with engine.begin() as connection:
                connection.execute(text("SET LOCAL session_replication_role = replica"))
                for model in rows:
                    connection.execute(text(f"DELETE FROM {model.__tablename__}"))
            engine.dispose()
