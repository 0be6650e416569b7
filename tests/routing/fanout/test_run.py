"""Shards are asked at once, and what goes wrong is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import (
    Connection,
    Integer,
    bindparam,
    case,
    create_engine,
    event,
    func,
    select,
    text,
    union_all,
)
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound
from sqlalchemy.orm import defer, joinedload, load_only, raiseload, selectinload

from elearning.cluster.embedded.processes import wait_until
from elearning.config import Settings
from elearning.errors import (
    InvalidText,
    NodeUnavailable,
    NotMergeable,
    PoolExhausted,
    RoutingError,
    SettingsError,
)
from elearning.ids import new_id
from elearning.models import Course, CourseCategory, Enrollment, User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession, Token
from elearning.routing.fanout import FanOutResult, fan_out, fan_out_async
from elearning.testing.factories import EnrollmentFactory, UserProfileFactory, bound

COUNT = select(func.count()).select_from(User)


@pytest.fixture(scope="module")
def people(engines: Engines, clean: Any) -> Token:
    """One person in each region, with a profile; and a student with a course in asia."""
    clean()
    token = Token()
    for region in Region:
        with (
            RoutingSession(engines=engines, region=region, token=token) as session,
            bound(session),
        ):
            UserProfileFactory.create(user__region=region)
            if region is Region.ASIA:
                EnrollmentFactory.create(user__region=region)
            session.commit()
    return token


@pytest.fixture(scope="module")
async def async_engines(settings: Settings) -> AsyncIterator[Engines]:
    engines = Engines(settings, asynchronous=True)
    yield engines
    await engines.close_async()


def busy(engines: Engines) -> int:
    return sum(node.engine.pool.checkedout() for node in engines.nodes)  # type: ignore[attr-defined]


def test_a_token_is_honoured_and_only_read(engines: Engines, people: Token) -> None:
    before = dict(people)
    for token in (people, str(people)):
        assert fan_out(engines, COUNT, token=token).scalar_one() == 8
    assert dict(people) == before


async def test_async_does_the_same(async_engines: Engines, engines: Engines, people: Token) -> None:
    statement = select(User.id, User.created_at).order_by(User.created_at.desc(), User.id).limit(4)
    found = await fan_out_async(async_engines, statement, token=people)
    assert found.all() == fan_out(engines, statement, token=people).all()
    assert len(found) == 4
    assert busy(async_engines) == 0


def test_named_shards(engines: Engines, people: Token) -> None:
    found = fan_out(engines, COUNT, shards=["eu", "na", "eu"], token=people)
    assert (found.scalar_one(), found.shards) == (4, ("eu", "na"))


def test_a_single_shard_is_asked_as_it_is(engines: Engines, people: Token) -> None:
    # None of these could be merged.
    for statement in (
        select(User.status, func.count()).group_by(User.status).having(func.count() > 1),
        select(User.id, func.row_number().over(order_by=User.id)),
        select(func.count()).select_from(select(User.id).order_by(User.email).limit(3).subquery()),
        union_all(select(User.id), select(User.id)),
        select(User.email).order_by(User.email),
        select(func.now()),
    ):
        found = fan_out(engines, statement, shards=["asia"], token=people)
        assert found.shards == ("asia",)
        assert len(found) > 0


def test_one_configured_shard(settings: Settings, people: Token) -> None:
    eu = replace(settings.shard("eu"), regions=tuple(Region))
    with Engines(replace(settings, shards=(eu,))) as engines:
        found = fan_out(engines, select(User.email).order_by(User.email))
        assert found.shards == ("eu",)
        assert len(found) == 2


def test_ids_name_the_shards(engines: Engines, people: Token) -> None:
    ids = {each.region: each.id for each in fan_out(engines, select(User), token=people).scalars()}
    asia, africa = ids[Region.ASIA], ids[Region.AFRICA]

    def asked(*conditions: Any, **parameters: Any) -> tuple[str, ...]:
        statement = select(User.email).where(*conditions)
        return fan_out(engines, statement, parameters or None, token=people).shards

    assert asked(User.id == asia) == ("asia",)
    assert asked(User.id.in_([asia, africa])) == ("eu", "asia")
    assert asked(User.id.in_([asia, africa]), User.id == bindparam("who"), who=africa) == ("eu",)
    assert asked(User.id == bindparam("who"), who=str(asia)) == ("asia",)
    assert asked(User.id > asia) == ("na", "eu", "asia")
    assert asked((User.id == asia) | (User.id == africa)) == ("na", "eu", "asia")
    assert asked(User.email == "x", User.status == "active") == ("na", "eu", "asia")
    # Of no row; some shard must say so.
    assert asked(User.id == asia, User.id == africa) == ("na",)
    assert asked(User.id.in_([])) == ("na",)
    # On its own shard nothing needs to be merged, but its rows must be there.
    own = select(User.email).where(User.id == asia)
    assert fan_out(engines, own.order_by(User.email), token=people).shards == ("asia",)
    with pytest.raises(NotMergeable, match="may be on different shards"):
        fan_out(engines, own.add_columns(Enrollment.id))
    # What people of other shards have taken is there, and so may be subjects of its branches.
    course = fan_out(engines, select(Course.id), token=people).scalar_one()
    assert fan_out(engines, select(Course.id).where(Course.id == course)).shards == ("asia",)
    taken = select(Enrollment.id).join(Enrollment.course).where(Course.id == course)
    assert fan_out(engines, taken, token=people).shards == ("na", "eu", "asia")
    branches = select(CourseCategory.id).where(CourseCategory.parent_id == new_id("asia"))
    assert fan_out(engines, branches).shards == ("na", "eu", "asia")


def test_loader_options(engines: Engines, people: Token) -> None:
    statement = select(User).options(
        joinedload(User.profile),
        selectinload(User.enrollments)
        .selectinload(Enrollment.course)
        .options(raiseload(Course.enrollments), selectinload(Course.modules)),
        defer(User.password_hash),
        raiseload("*"),
    )
    found = fan_out(engines, statement, token=people).scalars()
    assert sum(len(user.enrollments) for user in found) == 1
    assert next(user.enrollments[0].course.title for user in found if user.enrollments)
    assert sum(user.profile is not None for user in found) == 6
    only = fan_out(engines, select(User).options(load_only(User.email)), token=people)
    assert all(user.email for user in only.scalars())


def test_reading_a_result(engines: Engines, people: Token) -> None:
    found = fan_out(engines, select(User.id, User.email.label("mail")), token=people)
    assert found.keys() == ("id", "mail")
    row = found.first()
    assert row is not None
    assert row.mail == row._mapping["mail"] == row[1]
    assert row._mapping[User.id] == row.id
    assert list(found) == found.all() == found.result().all()
    assert found.mappings()[0]["mail"] == row.mail
    assert found.scalars()[0] == row.id
    with pytest.raises(MultipleResultsFound):
        found.one()
    none = fan_out(engines, select(User.id).where(User.email == "nobody"))
    assert none.first() is None
    assert none.one_or_none() is None
    with pytest.raises(NoResultFound):
        none.scalar_one()
    assert repr(none) == "<FanOutResult of na, eu, asia: 0 rows>"
    one = fan_out(engines, COUNT, token=people)
    assert tuple(one.one()) == (8,)


@pytest.fixture
def without_eu(settings: Settings) -> Iterator[Engines]:
    eu = settings.shard("eu")
    nowhere = replace(eu, primary=eu.primary.set(port=1), replicas=())
    shards = tuple(nowhere if shard is eu else shard for shard in settings.shards)
    with Engines(replace(settings, shards=shards)) as engines:
        yield engines


def test_a_shard_that_is_away(without_eu: Engines, people: Token) -> None:
    with pytest.raises(NodeUnavailable, match="eu-primary") as caught:
        fan_out(without_eu, COUNT, token=people)
    assert caught.value.__notes__ == ["So answered shard eu."]
    found = fan_out(without_eu, COUNT, token=people, on_shard_error="partial")
    assert found.partial
    assert found.scalar_one() == 6
    assert found.shards == ("na", "asia")
    assert isinstance(found.errors["eu"], NodeUnavailable)
    assert repr(found) == "<FanOutResult of na, asia: 1 rows, PARTIAL without eu>"
    with pytest.raises(NodeUnavailable):
        fan_out(without_eu, COUNT, shards=["eu"], on_shard_error="partial")
    assert busy(without_eu) == 0


def test_a_mistake_is_no_absence(without_eu: Engines, people: Token) -> None:
    wrong = select(User.id, 1 / func.length(User.email, type_=None) * 0).where(
        func.mod(User.id, 2) == 0
    )
    with pytest.raises(DBAPIError) as caught:
        fan_out(without_eu, wrong, on_shard_error="partial")
    first, *others = caught.value.__notes__
    assert first == "So answered shard na."
    assert any("Shard eu failed too: NodeUnavailable: eu-primary" in each for each in others)
    assert busy(without_eu) == 0


def test_a_mistake_on_one_shard_is_raised(engines: Engines, people: Token) -> None:
    divisor = case((User.region == Region.ASIA, 0), else_=1)
    with pytest.raises(DBAPIError, match="division by zero") as caught:
        fan_out(
            engines,
            select(User.id).where(func.mod(1, divisor) == 0),
            token=people,
            on_shard_error="partial",
        )
    assert caught.value.__notes__ == ["So answered shard asia."]
    assert busy(engines) == 0


def test_a_pool_without_a_free_connection(settings: Settings, people: Token) -> None:
    bare = replace(settings, shards=tuple(replace(each, replicas=()) for each in settings.shards))
    with Engines(bare, pool_size=1, pool_timeout=0.1) as engines:
        with engines.primary("na").engine.connect():
            with pytest.raises(PoolExhausted):
                fan_out(engines, COUNT)
            found = fan_out(engines, COUNT, on_shard_error="partial")
            assert isinstance(found.errors["na"], PoolExhausted)
        assert not fan_out(engines, COUNT, on_shard_error="partial").partial


async def test_async_partial(settings: Settings, people: Token) -> None:
    eu = settings.shard("eu")
    nowhere = replace(eu, primary=eu.primary.set(port=1), replicas=())
    shards = tuple(nowhere if shard is eu else shard for shard in settings.shards)
    engines = Engines(replace(settings, shards=shards), asynchronous=True)
    try:
        found = await fan_out_async(engines, COUNT, token=people, on_shard_error="partial")
        assert (found.partial, found.scalar_one()) == (True, 6)
        with pytest.raises(NodeUnavailable):
            await fan_out_async(engines, COUNT)
        assert busy(engines) == 0
    finally:
        await engines.close_async()


async def test_a_cancelled_fan_out_leaves_nothing_behind(
    async_engines: Engines, engines: Engines, people: Token
) -> None:
    slow = select(User.id).where(func.length(User.email) > 0)
    with engines.primary("eu").engine.connect() as blocker:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT users.id%' "
        running = asyncio.create_task(fan_out_async(async_engines, slow, consistency="primary"))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert blocker.scalar(text(sleeping + "AND state = 'active'")) == 0
    assert busy(async_engines) == 0
    assert (await fan_out_async(async_engines, COUNT, token=people)).scalar_one() == 8


async def test_a_cancelled_wait_ends_on_the_servers(
    settings: Settings, async_engines: Engines, people: Token
) -> None:
    owner = create_engine(settings.shard("eu").owner_url)
    try:
        with owner.connect() as locker:
            locker.execute(text("LOCK TABLE users"))
            running = asyncio.create_task(
                fan_out_async(async_engines, COUNT, consistency="primary")
            )
            assert await asyncio.to_thread(wait_until, lambda: all_wait([locker]), 10)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert busy(async_engines) == 0
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            assert locker.scalar(text(waiting)) == 0
    finally:
        owner.dispose()


@contextmanager
def users_locked(settings: Settings) -> Iterator[list[Connection]]:
    """Lock the users of every shard, and return who holds the locks."""
    owners = [create_engine(shard.owner_url) for shard in settings.shards]
    with ExitStack() as stack:
        lockers = []
        for owner in owners:
            stack.callback(owner.dispose)
            lockers.append(stack.enter_context(owner.connect()))
            lockers[-1].execute(text("LOCK TABLE users"))
        yield lockers


def all_wait(lockers: list[Connection]) -> bool:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return all(locker.scalar(waiting) == 1 for locker in lockers)


def test_shards_are_asked_at_once(settings: Settings, engines: Engines, people: Token) -> None:
    with users_locked(settings) as lockers, ThreadPoolExecutor(1) as thread:
        running = thread.submit(fan_out, engines, COUNT, consistency="primary")
        # All of them before one has answered.
        assert wait_until(lambda: all_wait(lockers), 10)
        for locker in lockers:
            locker.rollback()
        assert running.result(10).scalar_one()


async def test_shards_are_asked_at_once_by_tasks(
    settings: Settings, async_engines: Engines, people: Token
) -> None:
    with users_locked(settings) as lockers:
        running = asyncio.create_task(fan_out_async(async_engines, COUNT, consistency="primary"))
        assert await asyncio.to_thread(wait_until, lambda: all_wait(lockers), 10)
        for locker in lockers:
            locker.rollback()
        assert (await running).scalar_one()


def test_threads_have_the_context_of_the_caller(engines: Engines, people: Token) -> None:
    request = ContextVar("request", default="")
    request.set("r1")
    seen: list[tuple[int, str]] = []

    def note(_: object, __: object, sql: str, *___: object) -> None:
        # The engines' own threads ask nodes how they are.
        if "FROM users" in sql:
            seen.append((threading.get_ident(), request.get()))

    every = [engine for node in engines.nodes for engine in node.engines]
    for engine in every:
        event.listen(engine, "before_cursor_execute", note)
    try:
        fan_out(engines, COUNT)
    finally:
        for engine in every:
            event.remove(engine, "before_cursor_execute", note)
    assert {context for _, context in seen} == {"r1"}
    assert {thread for thread, _ in seen} - {threading.get_ident()}
    assert len(seen) == 3


async def test_bad_arguments(engines: Engines, async_engines: Engines) -> None:
    with pytest.raises(SettingsError, match="no shard 'mars'"):
        fan_out(engines, COUNT, shards=["mars"])
    with pytest.raises(InvalidText, match="names no shard"):
        fan_out(engines, COUNT, shards=[])
    with pytest.raises(InvalidText, match=r"pass a list of names, \['eu'\]"):
        fan_out(engines, COUNT, shards="eu")
    with pytest.raises(InvalidText, match="'some' is none of raise, partial"):
        fan_out(engines, COUNT, on_shard_error="some")  # type: ignore[arg-type]
    with pytest.raises(InvalidText, match="consistency"):
        fan_out(engines, COUNT, consistency="sometimes")
    with pytest.raises(InvalidText, match="token"):
        fan_out(engines, COUNT, token="a token")
    with pytest.raises(InvalidText, match="one mapping of values"):
        fan_out(engines, COUNT, [{"a": 1}])  # type: ignore[arg-type]
    for name in ("limit", "offset"):
        with pytest.raises(InvalidText, match=f"{name}: -1 is negative"):
            fan_out(engines, getattr(select(User), name)(-1))
    with pytest.raises(RoutingError, match="these engines are asynchronous"):
        fan_out(async_engines, COUNT)
    with pytest.raises(RoutingError, match="these engines are synchronous"):
        await fan_out_async(engines, COUNT)
    assert isinstance(await fan_out_async(async_engines, COUNT), FanOutResult)


def test_orders_by_what_is_computed(engines: Engines, people: Token) -> None:
    total = func.avg(func.length(User.email, type_=Integer))
    some = func.count(User.id).filter(User.status == "active")
    for statement in (
        select(User.user_type, some).group_by(User.user_type).order_by(some.desc(), total),
        select(User.id, total).group_by(User.id).order_by(total.desc(), some),
    ):
        found = fan_out(engines, statement, token=people)
        assert [row[1] for row in found] == sorted((row[1] for row in found), reverse=True)
    with pytest.raises(NotMergeable, match="ORDER BY of the type NullType"):
        fan_out(engines, select(User.id).group_by(User.id).order_by(func.avg(User.last_login)))


def test_limits_by_parameter(engines: Engines, people: Token) -> None:
    statement = select(User.id).order_by(User.id).limit(bindparam("n")).offset(bindparam("m"))
    found = fan_out(engines, statement, {"n": 3, "m": 2}, token=people)
    every = fan_out(engines, select(User.id).order_by(User.id), token=people)
    assert found.scalars() == every.scalars()[2:5]
    assert len(fan_out(engines, statement, {"n": None, "m": 2}, token=people)) == 6
    assert len(fan_out(engines, statement, {"n": 2**63 - 1, "m": 1}, token=people)) == 7
