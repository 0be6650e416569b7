"""Neither categories nor prerequisites make a circle, however many write at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Uuid, bindparam, insert, text, update
from sqlalchemy.orm import Session

from elearning.errors import (
    CategoryCycle,
    CategoryElsewhere,
    IsolationTooHigh,
    PrerequisiteCycle,
)
from elearning.ids import new_id
from elearning.models import CourseCategory, CoursePrerequisite
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseCategoryFactory, CourseFactory, bound
from tests.models.support import pid_of, stops_another, until


@pytest.fixture
def watch(engines: Engines) -> Iterator[Connection]:
    with engines.primary("eu").engine.connect() as connection:
        yield connection


def categories(session: RoutingSession, number: int) -> list[UUID]:
    with bound(session):
        made = [each.id for each in CourseCategoryFactory.create_batch(number)]
    session.commit()
    return made


def courses(session: RoutingSession, number: int) -> list[UUID]:
    with bound(session):
        made = [each.id for each in CourseFactory.create_batch(number)]
    session.commit()
    return made


def move(session: Session, category_id: UUID, parent_id: UUID | None) -> None:
    session.execute(
        update(CourseCategory).where(CourseCategory.id == category_id).values(parent_id=parent_id)
    )


def require(session: Session, course_id: UUID, before_id: UUID) -> None:
    """Put one course before another."""
    row = {"id": new_id("europe"), "course_id": course_id, "prerequisite_id": before_id}
    session.execute(insert(CoursePrerequisite).values(row))


@contextmanager
def waiting(
    session: RoutingSession, engines: Engines, watch: Connection, work: Callable[[Session], Any]
) -> Iterator[Future[Any]]:
    """Start what waits for the session's open transaction; the body ends that one."""

    def other() -> None:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            work(own)

    pid = pid_of(session.connection())
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(other)
        try:
            until(lambda: future.done() or stops_another(watch, pid))
            assert not future.done(), "it did not wait"
            yield future
        finally:
            session.rollback()


def test_refuse_category_cycle(session: RoutingSession) -> None:
    top, middle, bottom = categories(session, 3)
    move(session, middle, top)
    move(session, bottom, middle)
    session.commit()
    for category_id in (top, middle, bottom):
        with pytest.raises(CategoryCycle, match=f"{category_id} cannot be below {bottom}"):
            move(session, category_id, bottom)
        session.rollback()
    # A branch moves along, and comes back.
    move(session, bottom, top)
    move(session, middle, bottom)
    move(session, bottom, None)
    session.commit()


def test_refuse_category_cycle_in_one_statement(session: RoutingSession) -> None:
    first, second = categories(session, 2)
    with pytest.raises(CategoryCycle):
        session.execute(
            text(
                "UPDATE course_categories SET parent_id = CASE id WHEN :a THEN :b ELSE :a END"
            ).bindparams(bindparam("a", first, Uuid()), bindparam("b", second, Uuid()))
        )
    session.rollback()
    ids = [new_id("europe") for _ in range(2)]
    rows = [
        {"id": own, "parent_id": other, "slug": str(own), "category_name": str(own)}
        for own, other in zip(ids, reversed(ids), strict=True)
    ]
    with pytest.raises(CategoryCycle):
        session.execute(insert(CourseCategory).values(rows))


def test_refuse_category_cycle_by_two_moves_at_once(
    session: RoutingSession, engines: Engines, watch: Connection
) -> None:
    first, second = categories(session, 2)
    move(session, first, second)
    with waiting(session, engines, watch, lambda own: move(own, second, first)) as other:
        session.commit()
        with pytest.raises(CategoryCycle):
            other.result()


def test_refuse_category_cycle_lets_two_move_two_branches_each(
    session: RoutingSession, engines: Engines, watch: Connection
) -> None:
    # In two orders: each would hold the row that the other one wants.
    top, first, second = categories(session, 3)
    move(session, first, top)

    def move_both(own: Session) -> None:
        move(own, second, top)
        move(own, first, None)

    with waiting(session, engines, watch, move_both) as other:
        move(session, second, None)
        session.commit()
        other.result()


def test_refuse_category_cycle_of_a_parent_elsewhere(session: RoutingSession) -> None:
    (category,) = categories(session, 1)
    stranger = new_id("asia")
    with pytest.raises(CategoryElsewhere, match=f"{category} cannot be below {stranger}"):
        move(session, category, stranger)


def test_refuse_prerequisite_cycle(session: RoutingSession) -> None:
    first, second, third = courses(session, 3)
    require(session, second, first)
    require(session, third, second)
    require(session, third, first)
    for course_id, before in ((first, second), (first, third), (second, third)):
        with (
            pytest.raises(PrerequisiteCycle, match=f"course {before} cannot come before"),
            session.begin_nested(),
        ):
            require(session, course_id, before)


def test_refuse_prerequisite_cycle_by_two_at_once(
    session: RoutingSession, engines: Engines, watch: Connection
) -> None:
    first, second = courses(session, 2)
    require(session, second, first)
    with waiting(session, engines, watch, lambda own: require(own, first, second)) as other:
        session.commit()
        with pytest.raises(PrerequisiteCycle):
            other.result()


def test_refuse_prerequisite_cycle_when_the_other_one_gives_up(
    session: RoutingSession, engines: Engines, watch: Connection
) -> None:
    first, second = courses(session, 2)
    require(session, second, first)
    with waiting(session, engines, watch, lambda own: require(own, first, second)) as other:
        session.rollback()
        other.result()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_that_may_be_old_is_no_place_to_look_for_cycles(
    session: RoutingSession, engines: Engines, level: str
) -> None:
    first, second = categories(session, 2)
    one, two = courses(session, 2)
    engine = engines.primary("eu").engine.execution_options(isolation_level=level)
    works: list[Callable[[Session], None]] = [
        lambda own: move(own, first, second),
        lambda own: require(own, one, two),
    ]
    for work in works:
        with Session(engine) as own, pytest.raises(IsolationTooHigh):
            work(own)
