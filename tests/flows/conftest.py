from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest

from elearning.config import Settings
from elearning.flows import Platform
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    UserFactory,
    bound,
)
from tests.snapshots import connect


@dataclass(frozen=True)
class Campus:
    """A user and a course of three lessons in one region."""

    region: Region
    user_id: UUID
    course_id: UUID
    lesson_ids: tuple[UUID, ...]


def make_campus(engines: Engines, region: Region, **course: object) -> Campus:
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        user = UserFactory.create(region=region)
        made = CourseFactory.create(instructor__region=region, **course)
        first = CourseModuleFactory.create(course=made, position=1)
        second = CourseModuleFactory.create(course=made, position=2)
        lessons = [
            CourseLessonFactory.create(module=first, position=1),
            CourseLessonFactory.create(module=first, position=2),
            CourseLessonFactory.create(module=second, position=1),
        ]
        campus = Campus(region, user.id, made.id, tuple(lesson.id for lesson in lessons))
        session.commit()
    return campus


@pytest.fixture(params=list(Region), ids=str)
def region(request: pytest.FixtureRequest) -> Region:
    found: Region = request.param
    return found


@pytest.fixture
def campus(platform: Platform, engines: Engines) -> Campus:
    return make_campus(engines, Region.EUROPE)


@contextmanager
def copying_stopped(settings: Settings, subscriber: str, publisher: str) -> Iterator[None]:
    """Let the copies of one shard's courses come later to another one."""
    name = f"elearning_from_{publisher}"
    with connect(settings.shard(subscriber).owner_url) as owner:
        owner.execute(f"ALTER SUBSCRIPTION {name} DISABLE")
        try:
            yield
        finally:
            owner.execute(f"ALTER SUBSCRIPTION {name} ENABLE")
