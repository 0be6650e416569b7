"""A course that is copied to another shard: its lessons come and go for people there, too.

By logical replication between two primaries, in databases of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import make_url, text

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.crud import mark_lesson_complete
from elearning.models import Base
from elearning.routing import Engines, RoutingSession
from tests.models.running import Running, make_running
from tests.models.support import own_databases, until
from tests.snapshots import connect

COPIED = ("course_categories", "courses", "course_modules", "course_lessons")
AMERICAN = "WHERE (get_byte(uuid_send(id), 7) IN (1, 2))"
NAME = "copies"
TABLES = ", ".join(name for name in Base.metadata.tables if name != "hosted_regions")


@pytest.fixture(scope="module")
def shards(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Settings]:
    """Databases on na and eu, which publishes its courses; nobody has subscribed."""
    with own_databases(cluster, settings, NAME, "na", "eu") as made:
        with connect(made.shard("na").owner_url) as owner:
            tables = ", ".join(f"{table} {AMERICAN}" for table in COPIED)
            owner.execute(
                f"CREATE PUBLICATION courses FOR TABLE {tables} "
                "WITH (publish = 'insert, update, delete')"
            )
        yield made


@pytest.fixture
def both(shards: Settings) -> Iterator[tuple[Running, Running]]:
    """A running American course of two lessons, as it is there and here in Europe."""
    for shard in shards.shards:
        with connect(shard.owner_url) as owner:
            owner.execute(f"TRUNCATE {TABLES}")
    with (
        Engines(shards) as engines,
        RoutingSession(engines=engines, region="north_america") as na,
        RoutingSession(engines=engines, region="europe") as eu,
    ):
        there = make_running(na, 2, "north_america")
        na.commit()
        yield there, Running(eu, there.course_id, there.module_id, there.lessons)


@contextmanager
def subscribed(shards: Settings, cluster: EmbeddedCluster) -> Iterator[None]:
    """Let eu follow na."""
    source = make_url(cluster.url("na-primary", "elearning_replicator")).set(
        drivername="postgresql", database=NAME
    )
    with connect(shards.shard("eu").owner_url) as owner:
        owner.execute(
            "CREATE SUBSCRIPTION from_na "
            f"CONNECTION '{source.render_as_string(hide_password=False)}' "
            "PUBLICATION courses WITH (slot_name = 'eu_copies')"
        )
        try:
            yield
        finally:
            owner.execute("DROP SUBSCRIPTION from_na")
    with connect(shards.shard("na").owner_url) as na:
        slots = na.execute("SELECT count(*) FROM pg_replication_slots WHERE database = %s", [NAME])
        assert slots.fetchone() == (0,)


def copied(here: Running, *tables: str) -> None:
    """Wait for the first copy of some tables."""

    def are_there() -> bool:
        ready: int | None = here.session.scalar(
            text(
                "SELECT count(*) FROM pg_subscription_rel "
                "WHERE srrelid::regclass::text = ANY (:tables) AND srsubstate = 'r'"
            ),
            {"tables": list(tables)},
        )
        here.session.rollback()
        return ready == len(tables)

    until(are_there)


def becomes(here: Running, enrollment_id: UUID, expected: str) -> None:
    """Wait for counters, and compare them with what plain SQL counts."""

    def shown() -> str:
        here.session.rollback()
        done, total, percentage, status, _ = here.counts(enrollment_id)
        return f"{done}/{total} {percentage} {status}"

    until(lambda: shown() == expected)
    assert here.shown(enrollment_id) == expected


def test_update_enrolled_lessons_of_a_copied_course(
    shards: Settings, cluster: EmbeddedCluster, both: tuple[Running, Running]
) -> None:
    there, here = both
    first, second = there.lessons
    american = there.enroll(first)
    there.session.commit()
    with subscribed(shards, cluster):
        copied(here, *COPIED)
        active, completed = here.enroll(first), here.enroll(first, second)
        here.session.commit()
        assert here.shown(active) == "1/2 50.00 active"
        assert here.shown(completed) == "2/2 100.00 completed"

        third = there.add_lesson()
        there.session.commit()
        becomes(here, active, "1/3 33.33 active")
        becomes(here, completed, "2/3 66.67 completed")
        mark_lesson_complete(here.session, active, third)
        here.session.commit()
        becomes(here, active, "2/3 66.67 active")

        there.archive(second)  # the one that was open
        there.session.commit()
        becomes(here, active, "2/2 100.00 completed")
        becomes(here, completed, "1/2 50.00 completed")

        there.archive(second, archived=False)
        there.archive(first)
        there.session.commit()
        becomes(here, active, "1/2 50.00 completed")
        becomes(here, completed, "1/2 50.00 completed")

        there.session.execute(text("UPDATE course_lessons SET title = 'New'"))
        there.add_lesson()
        there.session.commit()
        becomes(here, completed, "1/3 33.33 completed")
        assert there.shown(american) == "0/3 0.00 active"


def test_update_modified_timestamp_of_what_follows_from_a_copy(
    shards: Settings, cluster: EmbeddedCluster, both: tuple[Running, Running]
) -> None:
    there, here = both
    with subscribed(shards, cluster):
        copied(here, *COPIED)
        enrollment_id = here.enroll()
        here.session.commit()
        updated_at = text("SELECT updated_at FROM enrollments")
        before = here.session.scalar(updated_at)
        here.session.rollback()
        there.add_lesson()
        there.session.commit()
        becomes(here, enrollment_id, "0/3 0.00 active")
        assert here.session.scalar(updated_at) > before


@pytest.mark.parametrize("late", ["course_lessons", "course_modules"])
def test_update_enrolled_lessons_of_a_course_that_is_being_copied(
    shards: Settings, cluster: EmbeddedCluster, both: tuple[Running, Running], late: str
) -> None:
    there, here = both
    there.archive(there.add_lesson())
    there.session.commit()
    with connect(shards.shard("eu").owner_url) as holder:
        holder.execute("BEGIN")
        holder.execute(f"LOCK TABLE {late} IN SHARE MODE")
        with subscribed(shards, cluster):
            # Tables are copied side by side: somebody takes the course before all are there.
            copied(here, *(table for table in COPIED if table != late))
            early = here.enroll()
            here.session.commit()
            assert here.shown(early) == "0/0 0.00 active"
            holder.execute("COMMIT")
            copied(here, *COPIED)
            assert here.shown(early) == "0/2 0.00 active"
