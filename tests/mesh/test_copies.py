"""The catalog on every shard of the shared cluster."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from elearning.cluster.mesh import reconcile_mesh
from elearning.config import Settings
from elearning.errors import CopiedRow, SettingsError
from elearning.models import CompletionRule, Course, CoursePrerequisite, CourseStatus
from elearning.models.publication import copied_tables
from elearning.routing import Engines, RoutingSession
from elearning.testing.databases import wait_copied
from elearning.testing.factories import (
    CourseCategoryFactory,
    CourseFactory,
    CourseLessonFactory,
    CourseReviewFactory,
    EnrollmentFactory,
    bound,
)
from tests.mesh.support import add_course, catalog, rows, told

REGIONS = {"na": ("north_america", (1, 2)), "eu": ("europe", (3, 4)), "asia": ("asia", (5, 6))}


def fill(engines: Engines, region: str) -> UUID:
    """Write a row of each copied table in a region."""
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        category = CourseCategoryFactory.create(region=region)
        course = CourseFactory.create(category=category, instructor__region=region)
        first = CourseFactory.create(instructor__region=region)
        CourseLessonFactory.create(module__course=course)
        # An enrollment and a review are counted for their region.
        CourseReviewFactory.create(enrollment__course=course, enrollment__user__region=region)
        session.add(CoursePrerequisite(course_id=course.id, prerequisite_id=first.id))
        session.commit()
        return course.id


@pytest.mark.usefixtures("empty_databases")
def test_all_tables_are_copied_every_way(settings: Settings, engines: Engines) -> None:
    for region, _ in REGIONS.values():
        fill(engines, region)
    wait_copied(engines)
    for home, (_, codes) in REGIONS.items():
        original = catalog(settings, home, *codes)
        assert all(original.values()), original
        for shard in REGIONS:
            assert catalog(settings, shard, *codes) == original
    for shard in REGIONS:
        # Nothing else is on its way, and what is of one region alone stays there.
        assert rows(settings, shard, "SELECT count(*) FROM users") == [(3,)]
        assert rows(settings, shard, "SELECT count(*) FROM courses WHERE rating = 4") == [(3,)]


@pytest.mark.usefixtures("empty_databases")
def test_changes_and_deletions_are_copied(settings: Settings, engines: Engines) -> None:
    course_id = fill(engines, "europe")
    with RoutingSession(engines=engines, region="europe") as session:
        session.get_one(Course, course_id).title = "New"
        session.execute(delete(CoursePrerequisite).where(CoursePrerequisite.course_id == course_id))
        session.commit()
    wait_copied(engines)
    for shard in ("na", "asia"):
        found = rows(settings, shard, "SELECT title FROM courses WHERE id = %s", course_id)
        assert found == [("New",)]
        assert rows(settings, shard, "TABLE course_prerequisites") == []


@pytest.mark.usefixtures("empty_databases")
def test_what_copies_are_found_by_and_sorted_by(settings: Settings, engines: Engines) -> None:
    courses = {region: fill(engines, region) for region, _ in REGIONS.values()}
    asked = (
        "SELECT course_id FROM course_search WHERE document @@ to_tsquery('english', 'lanterns')"
    )
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        course = session.get_one(Course, courses["europe"])
        course.title = "A lantern"
        # Counted at home, and at the home of those who enroll elsewhere.
        EnrollmentFactory.create(user__region="africa", course=course)
        session.commit()
    wait_copied(engines)
    with RoutingSession(engines=engines, region="asia", consistency="primary") as session:
        course = session.get_one(Course, courses["europe"], execution_options={"region": "asia"})
        with bound(session):
            for _ in range(3):
                EnrollmentFactory.create(user__region="asia", course=course)
        session.commit()
    wait_copied(engines)
    for shard in REGIONS:
        assert rows(settings, shard, "SELECT count(*) FROM course_search") == [(6,)]
        assert rows(settings, shard, asked) == [(courses["europe"],)]
        found = dict(rows(settings, shard, "SELECT course_id, enrollments FROM course_popularity"))
        assert len(found) == 6
        assert {found[each] for each in courses.values()} == {1, 5}
        assert found[courses["europe"]] == 5
    with RoutingSession(engines=engines, region="europe") as session:
        course = session.get_one(Course, courses["europe"])
        course.status, course.archived_at = CourseStatus.ARCHIVED, course.created_at
        session.commit()
    wait_copied(engines)
    for shard in REGIONS:
        assert rows(settings, shard, asked) == []


@pytest.mark.usefixtures("empty_databases")
def test_new_columns_of_lessons_are_copied(settings: Settings, engines: Engines) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        CourseLessonFactory.create(completion_rule=CompletionRule.WATCHED, completion_threshold=80)
        session.commit()
    wait_copied(engines)
    for shard in REGIONS:
        asked = "SELECT completion_rule, completion_threshold FROM course_lessons"
        assert rows(settings, shard, asked) == [("watched", 80)]


@pytest.mark.usefixtures("empty_databases")
def test_counters_of_the_platform_stay_at_home(settings: Settings, engines: Engines) -> None:
    fill(engines, "europe")
    wait_copied(engines)
    counters = "SELECT DISTINCT name FROM platform_counters ORDER BY 1"
    names = ["courses", "enrollments", "reviews", "users"]
    assert rows(settings, "eu", counters) == [(name,) for name in names]
    for shard in ("na", "asia"):
        assert rows(settings, shard, counters) == []
        assert rows(settings, shard, "TABLE course_months") == []


@pytest.mark.usefixtures("empty_databases")
def test_nothing_goes_round(settings: Settings, engines: Engines) -> None:
    for region, _ in REGIONS.values():
        fill(engines, region)
    for _ in range(3):  # what follows from a copy is copied, too
        wait_copied(engines)

    def versions() -> list[object]:
        return [
            rows(settings, shard, f"SELECT xmin::text, ctid::text FROM {table.name} ORDER BY 2")
            for shard in REGIONS
            for table in copied_tables()
        ]

    before = versions()
    time.sleep(0.3)
    wait_copied(engines)
    assert versions() == before


@pytest.mark.usefixtures("empty_databases")
def test_a_copy_is_not_written_to(engines: Engines, settings: Settings) -> None:
    course_id = add_course(settings, "europe", "Home")
    wait_copied(engines)
    with (
        engines.primary("na").engine.connect() as connection,
        pytest.raises(CopiedRow, match=f"row {course_id} of courses is a copy from europe"),
    ):
        connection.execute(update(Course).where(Course.id == course_id).values(title="Away"))


def test_reconcile_again_changes_nothing(settings: Settings) -> None:
    identities = "SELECT oid, subname FROM pg_subscription ORDER BY 1"
    before = rows(settings, "na", identities)
    report = reconcile_mesh(settings)
    assert set(told(report).values()) == {"nothing to do"}
    assert len(report.pairs) == 6
    assert rows(settings, "na", identities) == before


def test_settings_without_a_way(settings: Settings) -> None:
    na, eu, asia = settings.shards
    cut = tuple(replace(shard, replication=None) for shard in settings.shards)
    report = reconcile_mesh(replace(settings, shards=cut))
    assert (report.pairs, report.ok) == ((), True)
    assert report.skipped is not None
    assert "ELEARNING_SHARD_NA_REPLICATION" in report.skipped
    with pytest.raises(SettingsError, match="ELEARNING_SHARD_EU_REPLICATION"):
        reconcile_mesh(replace(settings, shards=(na, cut[1], asia)))
    alone = reconcile_mesh(replace(settings, shards=(eu,)))
    assert (alone.pairs, alone.skipped) == ((), None)
