"""What the tests of the copies share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.embedded.processes import wait_until
from elearning.cluster.embedded.state import State
from elearning.cluster.mesh import MeshReport, reconcile_mesh
from elearning.config import Settings
from elearning.models.publication import copied_tables
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, CourseLessonFactory, bound
from tests.snapshots import connect

WAIT_SECONDS = 10


def until(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, WAIT_SECONDS)


def rows(settings: Settings, shard: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement as the owner."""
    with connect(settings.shard(shard).owner_url) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def as_replication(settings: Settings, shard: str, *statements: str) -> None:
    """Change copies, past what refuses that."""
    with connect(settings.shard(shard).owner_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)


def catalog(settings: Settings, shard: str, *codes: int) -> dict[str, list[tuple[Any, ...]]]:
    """Return all copied columns of the rows of some regions, as a shard has them."""
    return {
        table.name: rows(
            settings,
            shard,
            f"SELECT {', '.join(table.columns)} FROM {table.name} "
            f"WHERE {table.rows_of(codes)} ORDER BY {', '.join(table.key)}",
        )
        for table in copied_tables()
    }


def titles(settings: Settings, shard: str) -> set[str]:
    return {title for (title,) in rows(settings, shard, "SELECT title FROM courses")}


def add_course(settings: Settings, region: str, title: str, **values: Any) -> UUID:
    """Write a course with a lesson in a region, and return its id."""
    with (
        Engines(settings) as engines,
        RoutingSession(engines=engines, region=region) as session,
        bound(session),
    ):
        course = CourseFactory.create(title=title, instructor__region=region, **values)
        CourseLessonFactory.create(module__course=course)
        session.commit()
        return course.id


def reconciled(settings: Settings) -> MeshReport:
    """Reconcile, and show that a second time changes nothing."""
    report = reconcile_mesh(settings)
    assert report.problem == ""
    again = reconcile_mesh(settings)
    assert again.ok
    assert not again.changed, again
    return report


def told(report: MeshReport) -> dict[str, str]:
    return {f"{pair.publisher} {pair.subscriber}": pair.told for pair in report.pairs}


def folder_of(cluster: EmbeddedCluster, node: str) -> Path:
    """Return where a server keeps its data and its log."""
    state = State.load(cluster.folder)
    assert state is not None
    return state.folder_of(state.node(node))
