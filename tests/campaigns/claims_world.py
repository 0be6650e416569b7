"""What the claims' campaigns run on: users everywhere, and courses with few seats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic, sleep
from uuid import UUID

import psycopg

from elearning.ids import new_id
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, InstructorFactory, UserFactory, bound

__all__ = ["World", "make_world"]


@dataclass(frozen=True)
class World:
    """Users by region, and courses of all regions."""

    users: Mapping[Region, tuple[UUID, ...]]
    courses: tuple[UUID, ...]


def make_world(
    engines: Engines, databases: Mapping[str, str], *, courses: int, users: int
) -> World:
    """Make courses of one to three seats, users in each region, and wait for the copies.

    Args:
        engines: of empty databases.
        databases: the URLs of the primaries.
        courses: how many, in all regions together.
        users: in each region.
    """
    people: dict[Region, tuple[UUID, ...]] = {}
    made: list[UUID] = []
    for number, region in enumerate(Region):
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            people[region] = tuple(UserFactory.create(region=region).id for _ in range(users))
            teacher = InstructorFactory.create(region=region)
            for course in range(number, courses, len(Region)):
                each = CourseFactory.create(
                    id=new_id(region), instructor=teacher, max_enrollments=1 + course // 6 % 3
                )
                made.append(each.id)
            session.commit()
    _wait_copied(databases, made)
    return World(people, tuple(made))


def _wait_copied(databases: Mapping[str, str], courses: list[UUID]) -> None:
    end = monotonic() + 20
    for shard, url in databases.items():
        with psycopg.connect(url, autocommit=True) as connection:
            while connection.execute(
                "SELECT count(*) FROM courses WHERE id = ANY (%s) AND status = 'published'",
                (courses,),
            ).fetchone() != (len(courses),):
                if monotonic() > end:
                    message = f"{shard} has not got all courses"
                    raise TimeoutError(message)
                sleep(0.02)
