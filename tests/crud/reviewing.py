"""A course with people of all regions in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, event, text

from elearning.crud import enroll_user
from elearning.crud.listing import Listing
from elearning.routing import Engines, RoutingSession, Token
from elearning.routing.replay import has_replayed
from elearning.testing.databases import wait_copied
from elearning.testing.factories import CourseFactory, UserFactory, bound
from tests.snapshots import connect

__all__ = ["REGIONS", "Classroom", "analyze", "make_classroom", "plan_of", "replayed"]

REGIONS = ("europe", "north_america", "asia")
"""One for each shard."""


@dataclass(frozen=True)
class Classroom:
    """A course of europe and those who are enrolled in it, by region."""

    engines: Engines
    course_id: UUID
    instructor_id: UUID
    users: Mapping[str, Sequence[UUID]]
    enrollments: Mapping[str, Sequence[UUID]]
    token: Token = field(default_factory=Token)

    def session(self, region: str = "europe") -> RoutingSession:
        """Open a session that sees what the others here have written."""
        return RoutingSession(engines=self.engines, region=region, token=self.token)

    def suspend(self, user_id: UUID, region: str) -> None:
        """Suspend an account."""
        with self.session(region) as session:
            session.execute(
                text("UPDATE users SET status = 'suspended' WHERE id = :id"), {"id": user_id}
            )
            session.commit()

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Return what all primaries answer together."""
        found: list[Any] = []
        for shard in self.engines.shards:
            with self.engines.primary(shard).engine.connect() as connection:
                found += connection.execute(text(sql), values)
        return found


def replayed(engines: Engines, token: Token) -> None:
    """Wait until all replicas show what was written, so that a read takes them at once."""
    for shard in engines.shards:
        if shard in token:
            assert all(has_replayed(node, token[shard], 10) for node in engines.replicas(shard))


def make_classroom(
    engines: Engines, *, size: int = 1, regions: Sequence[str] = REGIONS
) -> Classroom:
    """Make a course with some people of each region in it."""
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        course = CourseFactory.create()
        made = course.id, course.instructor_id
        session.commit()
    if regions != ("europe",):
        wait_copied(engines)
    users: dict[str, list[UUID]] = {}
    enrollments: dict[str, list[UUID]] = {}
    for region in regions:
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            users[region] = [user.id for user in UserFactory.create_batch(size, region=region)]
            enrollments[region] = [
                enroll_user(session, user_id, made[0]) for user_id in users[region]
            ]
            session.commit()
    return Classroom(engines, *made, users, enrollments)


def analyze(engines: Engines, shard: str, *tables: str) -> None:
    """Let the planner know what is in some tables."""
    with connect(engines.settings.shard(shard).owner_url) as owner:
        owner.execute(f"ANALYZE {', '.join(tables)}")


def plan_of(session: RoutingSession, listing: Listing[Any], after: str | None) -> str:
    """Return how PostgreSQL answers what a page of a list asks, with its values."""
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _cu: object, sql: str, values: Any, *_: object) -> None:
        if "pg_" not in sql:
            sent.append((sql, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        listing.page(session, size=20, after=after)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    ((sql, values),) = sent
    found = session.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF) {sql}", values)
    return "\n".join(found.scalars())
