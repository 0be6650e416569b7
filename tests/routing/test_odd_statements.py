"""Statements whose ids stand in odd places, or that name two shards."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import BindParameter, bindparam, delete, exists, func, lambda_stmt, select, update
from sqlalchemy.orm import aliased

from elearning.config import Settings
from elearning.errors import CrossShardRead, CrossShardWrite, InvalidId, RoutingError
from elearning.models import Base, Course, Enrollment, OutboxMessage, User, UserProfile
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import EnrollmentFactory, UserFactory, bound
from tests.routing.loss import new_user
from tests.served import served

ENROLLMENTS, COURSES, USERS = (
    Base.metadata.tables[model.__tablename__] for model in (Enrollment, Course, User)
)
SEVERAL: BindParameter[Any] = bindparam("ids", expanding=True)


@pytest.fixture
def users(engines: Engines, empty_databases: None) -> dict[str, UUID]:
    return {
        name: new_user(engines, region)
        for name, region in (("eu", "europe"), ("na", "north_america"))
    }


def rows_of(result: Any) -> int:
    return int(result.rowcount)


def europe(engines: Engines) -> RoutingSession:
    return RoutingSession(engines=engines, region="europe")


@pytest.mark.parametrize(
    "build",
    [
        lambda one: (lambda_stmt(lambda: select(User.id).where(User.id == one)), {}),
        lambda one: (select(User.id).where(lambda: User.id == one), {}),
        lambda one: (select(User.id).where(User.id.in_(SEVERAL)), {"ids": {one: 1}.keys()}),
        lambda one: (select(User.id).where(User.id.in_(SEVERAL)), {"ids": {1: one}.values()}),
        lambda one: (select(User.id).where(User.id.in_(SEVERAL)), {"ids": deque([one])}),
    ],
    ids=["lambda", "lambda-criterion", "keys", "values", "deque"],
)
def test_ids_in_odd_places(
    engines: Engines, users: dict[str, UUID], build: Callable[[UUID], tuple[Any, Any]]
) -> None:
    for one in (*users.values(), *users.values()):
        statement, parameters = build(one)
        with europe(engines) as session:
            assert session.execute(statement, parameters).scalars().all() == [one]


def test_ids_of_two_shards_in_two_conditions(engines: Engines, users: dict[str, UUID]) -> None:
    eu, na = users["eu"], users["na"]
    one, other = aliased(User), aliased(User)
    with europe(engines) as session:
        with pytest.raises(CrossShardRead, match="eu, na"):
            session.execute(select(one.id, other.id).where(one.id == eu, other.id == na))
        with pytest.raises(CrossShardWrite):
            session.execute(
                update(User).where(User.id == eu, UserProfile.user_id == na).values(last_name="X")
            )
        # What is on both lists is on one shard.
        for conditions in ([User.id == na, User.id.in_([eu, na])],) * 2:
            assert session.scalars(select(User.id).where(*conditions)).all() == [na]
            conditions.reverse()


def test_a_courses_id_does_not_lead_other_rows(engines: Engines, empty_databases: None) -> None:
    with RoutingSession(engines=engines, region="north_america") as session, bound(session):
        enrollment = EnrollmentFactory.create(user__region="north_america")
        course_id = enrollment.course_id
        session.commit()
    joined = select(Enrollment.id).join(Course).where(Course.id == course_id)
    with europe(engines) as session, served(engines) as nodes:
        assert session.scalars(joined).all() == []
        # Counted where they are listed.
        counted = select(func.count()).select_from(Enrollment).join(Course)
        assert session.scalar(counted.where(Course.id == course_id)) == 0
        there = exists().where(Enrollment.course_id == Course.id, Course.id == course_id)
        assert session.scalar(select(there)) is False
        for changed in (
            delete(ENROLLMENTS).where(
                ENROLLMENTS.c.course_id == COURSES.c.id, COURSES.c.id == course_id
            ),
            delete(Enrollment).where(Enrollment.course_id == Course.id, Course.id == course_id),
        ):
            options = {"synchronize_session": False}
            assert rows_of(session.execute(changed, execution_options=options)) == 0
        session.commit()
    assert {node.split("-")[0] for node in nodes} == {"eu"}


def test_a_core_statement_with_a_mapped_condition(engines: Engines, users: dict[str, UUID]) -> None:
    with europe(engines) as session:
        changed = update(USERS).where(User.id == users["na"]).values(last_name="New")
        assert rows_of(session.execute(changed)) == 1
        session.commit()


def test_what_any_and_has_say_only_reads(engines: Engines, users: dict[str, UUID]) -> None:
    with europe(engines) as session, served(engines) as nodes:
        session.scalars(select(User).where(User.enrollments.any())).all()
        session.scalars(select(Enrollment).where(Enrollment.user.has())).all()
    assert set(nodes) == {"eu-replica-1"}


def test_a_row_without_a_home_goes_with_the_others(
    engines: Engines, users: dict[str, UUID]
) -> None:
    with RoutingSession(engines=engines, region="asia") as session, bound(session):
        session.add(OutboxMessage(topic="x", payload={}))
        UserFactory.create(region="europe")
        session.commit()
        assert set(session.token) == {"eu"}
    with RoutingSession(engines=engines) as session:
        user = session.get_one(User, users["na"])
        session.add(OutboxMessage(topic="x", payload={}))
        user.last_name = "New"
        session.commit()
        assert set(session.token) == {"na"}


def test_ids_as_texts(engines: Engines, users: dict[str, UUID]) -> None:
    with europe(engines) as session:
        session.add(UserProfile(user_id=str(users["na"])))
        with pytest.raises(InvalidId, match="'nonsense' is no elearning id"):
            session.merge(User(id="nonsense"))
        assert session.scalar(select(User.id).where(User.id == str(users["na"]))) == users["na"]
        # Before PostgreSQL is asked, which would refuse the comparison.
        for wrong in ("nonsense", "\0", "\ud800", 5, True, 1.5, b"x", ["x"], {"$ne": 1}, {}):
            with pytest.raises(InvalidId):
                session.scalar(select(User.id).where(User.id == bindparam("id", wrong)))
        with pytest.raises(InvalidId):
            session.get(User, "nonsense")


def test_a_change_between_a_statement_and_its_rows_is_kept(
    engines: Engines, users: dict[str, UUID]
) -> None:
    with europe(engines) as session:
        user = session.get_one(User, users["eu"])
        session.execute(update(UserProfile).values(city="X"))
        rows = session.scalars(select(User))
        user.first_name = "Changed"
        assert rows.all() == [user]
        session.commit()
        assert user.first_name == "Changed"


def test_a_stream_and_reads_beside_it_share_a_connection(
    settings: Settings, users: dict[str, UUID]
) -> None:
    with Engines(settings, pool_size=1, pool_timeout=2) as engines, europe(engines) as session:
        stream = session.scalars(select(User.id), execution_options={"yield_per": 1})
        for one in stream:
            assert session.scalar(select(User.id).where(User.id == one)) == one


async def test_asynchronous_engines_in_a_synchronous_session(settings: Settings) -> None:
    engines = Engines(settings, asynchronous=True)
    with europe(engines) as session, pytest.raises(RoutingError, match="AsyncRoutingSession"):
        session.scalars(select(User))
    await engines.close_async()
