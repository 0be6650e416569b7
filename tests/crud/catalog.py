"""Courses of all regions, to search and to list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine, insert

from elearning.models import Course, CourseStatistics
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.routing.replay import current_position, has_replayed
from elearning.testing.databases import wait_copied
from elearning.testing.factories import CourseFactory, bound

__all__ = ["count", "make_course", "shelve"]


def make_course(session: RoutingSession, title: str, **values: Any) -> Course:
    """Publish a course in the session's region, with a description that has none of our words."""
    given = {"description": "", "instructor__region": session.region or "europe", **values}
    with bound(session):
        return CourseFactory.create(title=title, **given)


def shelve(engines: Engines, region: Region, fill: Callable[[RoutingSession], object]) -> None:
    """Fill a region, and wait until all shards and their replicas have it."""
    with RoutingSession(engines=engines, region=region) as session:
        fill(session)
        session.commit()
    wait_copied(engines)
    for shard in engines.shards:
        with engines.primary(shard).engine.connect() as connection:
            position = current_position(connection)
        assert all(has_replayed(node, position, 10) for node in engines.replicas(shard))


def count(engines: Engines, course_id: UUID, **counters: int) -> None:
    """Write the counters of a committed course of Europe's, which is its shard's own work."""
    engine = create_engine(engines.settings.shard("eu").owner_url)
    with engine.begin() as owner:
        owner.execute(
            insert(CourseStatistics).values(
                {"course_id": course_id, "region_code": Region.EUROPE.code, **counters}
            )
        )
    engine.dispose()
