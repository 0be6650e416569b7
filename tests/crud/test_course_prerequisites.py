"""Which courses come before which, on one shard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from elearning.crud import (
    add_prerequisite,
    list_dependents,
    list_prerequisites,
    remove_prerequisite,
)
from elearning.errors import CourseNotFound, InvalidId, IsolationTooHigh, PrerequisiteCycle
from elearning.ids import new_id
from elearning.models import CoursePrerequisite
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, bound
from tests.crud.editing import wait_everywhere
from tests.models.support import pid_of, stops_another, until
from tests.served import served
from tests.snapshots import Snapshot


@pytest.fixture
def courses(session: RoutingSession) -> list[UUID]:
    with bound(session):
        made = [CourseFactory.create().id for _ in range(4)]
    session.commit()
    return sorted(made)


def test_added_listed_and_removed(
    session: RoutingSession, engines: Engines, courses: list[UUID]
) -> None:
    a, b, c, _ = courses
    with RoutingSession(engines=engines, region="asia") as other, served(engines) as nodes:
        assert add_prerequisite(other, c, a)
        assert nodes == ["eu-primary"]
        assert add_prerequisite(other, c, b)
        assert not add_prerequisite(other, c, a)
        other.commit()
    wait_everywhere(engines)
    with RoutingSession(engines=engines, region="asia") as reader, served(engines) as nodes:
        before = list_prerequisites(c).page(reader, size=1)
        assert [each.id for each in before.items] == [a]
        before = list_prerequisites(c).page(reader, size=1, after=before.next)
        assert ([each.id for each in before.items], before.next) == ([b], None)
        after = list_dependents(a).page(reader)
        assert [each.id for each in after.items] == [c]
        assert list_dependents(c).page(reader).items == []
    assert nodes == ["asia-replica-1"] * 4
    with RoutingSession(engines=engines, region="asia") as other, served(engines) as nodes:
        assert remove_prerequisite(other, c, a)
        assert nodes == ["eu-primary"]
        assert not remove_prerequisite(other, c, a)
        other.commit()
        assert [each.id for each in list_prerequisites(c).page(other).items] == [b]


def test_a_prerequisite_that_the_session_holds_is_gone(
    session: RoutingSession, courses: list[UUID]
) -> None:
    a, b, *_ = courses
    row = CoursePrerequisite(course_id=a, prerequisite_id=b)
    session.add(row)
    session.flush()
    remove_prerequisite(session, a, b)
    assert row not in session


def test_circles_are_refused(
    session: RoutingSession, courses: list[UUID], snapshot: Snapshot
) -> None:
    a, b, c, d = courses
    for course_id, before in ((b, a), (c, b), (d, c), (d, a)):
        assert add_prerequisite(session, course_id, before)
    session.commit()
    seen = snapshot()
    for course_id, before in ((a, d), (a, b), (b, d), (a, a)):
        with pytest.raises(PrerequisiteCycle, match=f"{before} cannot come before {course_id}"):
            add_prerequisite(session, course_id, before)
        session.rollback()
    stranger = new_id("europe")
    for course_id, before in ((a, stranger), (stranger, a)):
        with pytest.raises(CourseNotFound, match=str(stranger)):
            add_prerequisite(session, course_id, before)
        session.rollback()
    with pytest.raises(InvalidId):
        add_prerequisite(session, UUID(int=1), a)
    session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
    with pytest.raises(IsolationTooHigh):
        add_prerequisite(session, a, d)
    session.rollback()
    assert snapshot() == seen


def test_opposite_ones_at_once(
    session: RoutingSession, engines: Engines, courses: list[UUID]
) -> None:
    a, b, *_ = courses

    def other() -> bool:
        with RoutingSession(engines=engines, region="europe") as own:
            try:
                add_prerequisite(own, a, b)
            except PrerequisiteCycle:
                return False
            own.commit()
            return True

    with engines.primary("eu").engine.connect() as watch, ThreadPoolExecutor(1) as thread:
        add_prerequisite(session, b, a)
        pid = pid_of(session.connection())
        late = thread.submit(other)
        until(lambda: late.done() or stops_another(watch, pid))
        assert not late.done()
        session.commit()
        assert late.result() is False
