"""The rules of the session, on real primaries and replicas."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import bindparam, func, insert, pool, select, text, union, update
from sqlalchemy.exc import ArgumentError, IntegrityError, UnboundExecutionError
from sqlalchemy.orm import Session, joinedload, selectinload

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.embedded.processes import wait_until
from elearning.config import Settings
from elearning.errors import (
    CrossShardRead,
    CrossShardWrite,
    InvalidText,
    NodeUnavailable,
    RegionRequired,
    SettingsError,
    UnknownRegion,
)
from elearning.flows import Platform
from elearning.ids import new_id
from elearning.models import (
    Base,
    Course,
    CourseModule,
    Enrollment,
    OutboxMessage,
    User,
    UserProfile,
)
from elearning.regions import Region
from elearning.routing import Consistency, Engines, RoutingSession, Token
from elearning.routing.token import UNKNOWN, Position
from elearning.testing.factories import (
    CourseLessonFactory,
    EnrollmentFactory,
    UserFactory,
    UserProfileFactory,
    bound,
)
from tests.served import served


@pytest.fixture
def people(engines: Engines, empty_databases: None) -> dict[Region, UUID]:
    found = {}
    for region in Region:
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            found[region] = UserProfileFactory.create(user__region=region).user_id
            session.commit()
            # Later sessions of a test need not wait.
            for node in engines.replicas(engines.home(region)):
                wait_for(node, session.token)
    return found


def wait_for(node: Any, token: Token) -> None:
    from elearning.routing.replay import has_replayed  # noqa: PLC0415

    assert has_replayed(node, token[node.shard], 10)


def test_reads_use_the_replica_and_writes_the_primary(
    engines: Engines, people: dict[Region, UUID]
) -> None:
    for region, user_id in people.items():
        shard = engines.home(region)
        with RoutingSession(engines=engines, region=region) as session, served(engines) as nodes:
            user = session.get_one(User, user_id)
            assert nodes == [f"{shard}-replica-1"]
            user.first_name = "New"
            session.flush()
            assert nodes[1:] == [f"{shard}-primary"]
            session.execute(select(User.id))
            assert nodes[2:] == [f"{shard}-primary"]
            session.rollback()
            session.execute(select(User.id))
            assert nodes[3:] == [f"{shard}-replica-1"]


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT 1"),
        select(User.id).with_for_update(),
        select(func.pg_advisory_xact_lock(1)),
        update(User).where(User.email == "x").values(first_name="y"),
    ],
    ids=["text", "for-update", "function", "update"],
)
def test_everything_unclear_goes_to_the_primary(
    engines: Engines, people: dict[Region, UUID], statement: Any
) -> None:
    with RoutingSession(engines=engines, region="asia") as session, served(engines) as nodes:
        session.execute(statement)
        session.execute(select(User.id))
    assert nodes == ["asia-primary", "asia-primary"]


def test_connection_is_the_primary(engines: Engines) -> None:
    with RoutingSession(engines=engines, region="asia") as session:
        assert session.connection().engine is engines.primary("asia").engine


def test_an_id_finds_its_shard_from_any_session(
    engines: Engines, people: dict[Region, UUID]
) -> None:
    with RoutingSession(engines=engines, region="asia") as session, served(engines) as nodes:
        user = session.get_one(User, people[Region.NORTH_AMERICA])
        rows = session.scalars(
            select(UserProfile).where(UserProfile.user_id == people[Region.EUROPE])
        ).all()
        session.refresh(user)
    assert nodes == ["na-replica-1", "eu-replica-1", "na-replica-1"]
    assert len(rows) == 1


def test_a_session_without_region_needs_ids(engines: Engines, people: dict[Region, UUID]) -> None:
    with RoutingSession(engines=engines) as session:
        assert session.get(User, people[Region.AFRICA])
        with pytest.raises(RegionRequired, match="select statement names no region"):
            session.scalars(select(User))
        session.add(OutboxMessage(topic="x", payload={}))
        with pytest.raises(RegionRequired, match=r"OutboxMessage\(\) names no region"):
            session.flush()
        session.expunge_all()
        assert (
            len(session.scalars(select(User), execution_options={"region": "oceania"}).all()) == 2
        )


def test_related_rows_come_from_the_same_shard(engines: Engines, empty_databases: None) -> None:
    with RoutingSession(engines=engines, region="asia") as session, bound(session):
        enrollment = EnrollmentFactory.create(user__region="asia")
        lesson = CourseLessonFactory.create(module__course=enrollment.course)
        user_id, course_id, lesson_id = enrollment.user_id, enrollment.course_id, lesson.id
        session.commit()
        token = session.token
    with (
        RoutingSession(engines=engines, region="europe", token=token) as session,
        served(engines) as nodes,
    ):
        user = session.scalars(
            select(User)
            .where(User.id == user_id)
            .options(joinedload(User.profile), selectinload(User.enrollments))
        ).one()
        assert [each.course_id for each in user.enrollments] == [course_id]
        course = session.scalars(
            select(Course)
            .where(Course.id == course_id)
            .options(selectinload(Course.modules).selectinload(CourseModule.lessons))
        ).one()
        assert course.modules[0].lessons[0].id == lesson_id
        session.expire(user)
        assert user.email
    assert set(nodes) == {"asia-replica-1"}


def test_ids_of_two_shards_in_one_statement_are_refused(
    engines: Engines, people: dict[Region, UUID]
) -> None:
    with RoutingSession(engines=engines, region="asia") as session:
        with pytest.raises(CrossShardRead, match=r"asia, eu"):
            session.scalars(
                select(User).where(User.id.in_([people[Region.ASIA], people[Region.EUROPE]]))
            )
        # Two regions of one shard are fine.
        both = [people[Region.ASIA], people[Region.OCEANIA]]
        assert len(session.scalars(select(User).where(User.id.in_(both))).all()) == 2


def test_an_id_that_carries_no_region_finds_nothing(engines: Engines) -> None:
    with RoutingSession(engines=engines, region="asia") as session:
        assert session.get(User, uuid4()) is None


def test_a_write_on_a_second_shard_is_refused(engines: Engines, people: dict[Region, UUID]) -> None:
    with RoutingSession(engines=engines, region="asia") as session:
        one = session.get_one(User, people[Region.ASIA])
        other = session.get_one(User, people[Region.EUROPE])
        one.first_name = other.first_name = "X"
        with pytest.raises(CrossShardWrite, match=r"shard (asia|eu) .* shard (asia|eu)"):
            session.commit()
        session.rollback()
        session.execute(
            insert(User),
            [{"id": new_id("asia"), "email": "a@example.com", "first_name": "A", "last_name": "B"}],
        )
        with pytest.raises(CrossShardWrite, match="use a session of its own"):
            session.execute(update(User).where(User.id == other.id).values(first_name="Y"))
        session.rollback()
        # What is set to the value that it has is not written.
        other = session.get_one(User, people[Region.EUROPE])
        other.first_name = str(other.first_name)
        session.execute(update(User).where(User.id == people[Region.ASIA]).values(last_name="Y"))
        session.rollback()
        # One after the other is fine.
        session.execute(update(User).where(User.id == one.id).values(first_name="Y"))
        session.commit()
        session.execute(update(User).where(User.id == other.id).values(first_name="Y"))
        session.commit()
    assert set(session.token) == {"asia", "eu"}


def test_rows_of_two_regions_of_a_shard_are_written_together(
    engines: Engines, empty_databases: None
) -> None:
    with RoutingSession(engines=engines, region="asia") as session, bound(session):
        for region in ("europe", "africa"):
            UserFactory.create(region=region)
        session.commit()
        assert set(session.token) == {"eu"}


def test_bulk_insert_goes_home(engines: Engines, empty_databases: None) -> None:
    rows = [
        {"id": new_id("europe"), "email": f"u{n}@example.com", "first_name": "A", "last_name": "B"}
        for n in range(3)
    ]
    with RoutingSession(engines=engines, region="asia") as session, served(engines) as nodes:
        session.execute(insert(User), rows)
        session.commit()
    assert set(nodes) == {"eu-primary"}


def test_an_attribute_right_after_commit_is_there(engines: Engines, empty_databases: None) -> None:
    # Expired by the commit, read again from a replica: it must have the row by then.
    with RoutingSession(engines=engines, region="africa") as session, bound(session):
        for _ in range(50):
            user = UserFactory.create(region="africa")
            session.commit()
            assert user.email


def test_a_token_carries_what_was_written_to_another_session(
    engines: Engines, empty_databases: None
) -> None:
    for number in range(50):
        with RoutingSession(engines=engines, region="africa") as writer, bound(writer):
            user_id = UserFactory.create(region="africa").id
            writer.commit()
        with (
            RoutingSession(engines=engines, region="africa", token=str(writer.token)) as reader,
            served(engines) as nodes,
        ):
            assert reader.get(User, user_id), number
            assert nodes in (["eu-replica-1"], ["eu-primary"])


def test_a_token_from_the_future_reads_the_primary(engines: Engines) -> None:
    current = engines.primary("eu")
    for position in (UNKNOWN, Position(1, 2**60)):
        with (
            RoutingSession(
                engines=engines, region="europe", token=Token(eu=position), max_wait=0.05
            ) as session,
            served(engines) as nodes,
        ):
            session.scalars(select(User.id)).all()
        assert nodes == [current.name]


@pytest.mark.parametrize(
    ("consistency", "node"),
    [("eventual", "eu-replica-1"), ("session", "eu-primary"), ("primary", "eu-primary")],
)
def test_consistency(engines: Engines, consistency: str, node: str) -> None:
    with (
        RoutingSession(
            engines=engines,
            region="europe",
            token=Token(eu=UNKNOWN),
            consistency=consistency,
            max_wait=0,
        ) as session,
        served(engines) as nodes,
    ):
        session.scalars(select(User.id)).all()
    assert nodes == [node]


def test_one_unit_of_work_reads_one_replica(settings: Settings) -> None:
    from dataclasses import replace  # noqa: PLC0415

    eu = settings.shard("eu")
    twice = replace(
        settings,
        shards=tuple(
            replace(shard, replicas=eu.replicas * 3) if shard is eu else shard
            for shard in settings.shards
        ),
    )
    with Engines(twice) as engines:
        used = set()
        for _ in range(20):
            with RoutingSession(engines=engines, region="europe") as session:
                with served(engines) as nodes:
                    for _ in range(5):
                        session.scalars(select(User.id)).all()
                assert len(set(nodes)) == 1
                used |= set(nodes)
    assert len(used) > 1


def test_without_replicas_the_primary_reads(settings: Settings) -> None:
    from dataclasses import replace  # noqa: PLC0415

    bare = replace(settings, shards=tuple(replace(shard, replicas=()) for shard in settings.shards))
    with (
        Engines(bare) as engines,
        RoutingSession(engines=engines, region="europe") as session,
        served(engines) as nodes,
    ):
        session.scalars(select(User.id)).all()
    assert nodes == ["eu-primary"]


def test_a_savepoint_reads_the_primary(engines: Engines, people: dict[Region, UUID]) -> None:
    with RoutingSession(engines=engines, region="europe") as session, served(engines) as nodes:
        with session.begin_nested():
            session.scalars(select(User.id)).all()
            session.add(User(email="n@example.com", first_name="N", last_name="O"))
        session.rollback()
    assert set(nodes) == {"eu-primary"}


def test_a_savepoint_takes_no_token(engines: Engines, people: dict[Region, UUID]) -> None:
    with RoutingSession(engines=engines, region="europe") as session:
        with session.begin_nested():
            session.execute(update(User).values(first_name="X"))
        assert session.token == {}
        session.rollback()
        assert session.token == {}
        session.execute(update(User).values(first_name="X"))
        session.commit()
        assert set(session.token) == {"eu"}


def test_bind_switches_routing_off(engines: Engines, people: dict[Region, UUID]) -> None:
    asia = engines.primary("asia").engine
    with RoutingSession(asia, engines=engines, region="europe") as session:
        assert len(session.scalars(select(User)).all()) == 2
        assert session.get(User, people[Region.EUROPE]) is None
    with RoutingSession(binds={User: asia}, engines=engines) as session:
        assert session.get(User, people[Region.ASIA])
    with RoutingSession(engines=engines, region="europe") as session:
        found = session.scalars(select(User.id), bind_arguments={"bind": asia}).all()
        assert people[Region.ASIA] in found
    # A plain Session works on one engine as it always does.
    with Session(asia) as plain:
        assert plain.get(User, people[Region.ASIA])


def test_a_single_shard_needs_no_region(settings: Settings) -> None:
    from dataclasses import replace  # noqa: PLC0415

    eu = replace(settings.shard("eu"), regions=tuple(Region))
    with (
        Engines(replace(settings, shards=(eu,))) as engines,
        RoutingSession(engines=engines) as session,
    ):
        session.scalars(select(User)).all()


def test_unknown_names(engines: Engines) -> None:
    with pytest.raises(UnknownRegion):
        RoutingSession(engines=engines, region="atlantis")
    with pytest.raises(InvalidText, match="'sometimes' is none of eventual, session, primary"):
        RoutingSession(engines=engines, consistency="sometimes")
    with pytest.raises(SettingsError, match="no shard 'mars'"):
        engines.primary("mars")
    with pytest.raises(SettingsError):
        engines.replicas("mars")
    with RoutingSession(engines=engines) as session, pytest.raises(UnknownRegion):
        session.scalars(select(User), execution_options={"region": "mars"})


def test_a_replica_refuses_writes(engines: Engines) -> None:
    with (
        engines.replicas("eu")[0].engine.connect() as connection,
        pytest.raises(NodeUnavailable, match="read-only transaction"),
    ):
        connection.execute(text("CREATE TEMP TABLE x ()"))


def test_pools_hold_ten_connections_and_wait(engines: Engines) -> None:
    for node in engines.nodes:
        assert isinstance(node.engine.pool, pool.QueuePool)
        assert node.engine.pool.size() == 10
        assert node.engine.pool._max_overflow == 0
        assert node.engine.pool.timeout() == 30


def test_open_connects_to_every_node(settings: Settings) -> None:
    with Engines(settings) as engines:
        assert [node.engine.pool.checkedin() for node in engines.nodes] == [0] * 6  # type: ignore[attr-defined]
        engines.open()
        assert [node.engine.pool.checkedin() for node in engines.nodes] == [1] * 6  # type: ignore[attr-defined]


def test_a_node_that_is_down_is_named_without_its_password(settings: Settings) -> None:
    from dataclasses import replace  # noqa: PLC0415

    na = settings.shard("na")
    nowhere = na.primary.set(port=1)
    broken = replace(settings, shards=(replace(na, primary=nowhere), *settings.shards[1:]))
    with Engines(broken) as engines:
        with pytest.raises(NodeUnavailable, match=r"na-primary at 127\.0\.0\.1:1") as caught:
            engines.open()
        assert str(nowhere.password) not in str(caught.value)


async def test_async_sessions_route_alike(platform: Platform, people: dict[Region, UUID]) -> None:
    with served(platform.engines) as nodes:
        async with platform.session("asia") as session:
            user = await session.get_one(User, people[Region.EUROPE])
            await session.scalars(select(User.id))
            assert nodes == ["eu-replica-1", "asia-replica-1"]
            user.first_name = "Async"
            await session.commit()
            assert nodes[2:] == ["eu-primary"]
            assert "eu" in session.token
            await session.refresh(user)
            assert user.first_name == "Async"
    await platform.engines.open_async()


def test_asking_for_a_bind_decides_nothing(engines: Engines, people: dict[Region, UUID]) -> None:
    with RoutingSession(engines=engines, region="europe") as session, served(engines) as nodes:
        assert session.get_bind(User) is engines.primary("eu").engine
        session.scalars(select(User.id)).all()
        session.execute(update(User).where(User.id == people[Region.ASIA]).values(last_name="X"))
        session.rollback()
    assert nodes == ["eu-replica-1", "asia-primary"]


def test_a_statement_that_never_ran_leaves_nothing_behind(
    engines: Engines, people: dict[Region, UUID]
) -> None:
    with RoutingSession(engines=engines, region="europe") as session:
        with pytest.raises(ArgumentError):
            session.execute(update(User), execution_options={"synchronize_session": "never"})
        session.execute(update(User).where(User.id == people[Region.ASIA]).values(last_name="X"))
        session.commit()
        assert set(session.token) == {"asia"}


@pytest.mark.parametrize("consistency", ["eventual", "session"])
def test_a_dead_replica_is_left_out(
    settings: Settings,
    cluster: EmbeddedCluster,
    people: dict[Region, UUID],
    caplog: pytest.LogCaptureFixture,
    consistency: str,
) -> None:
    with Engines(settings) as engines, served(engines) as nodes:
        token = Token()

        def read() -> None:
            with RoutingSession(
                engines=engines, region="europe", consistency=consistency, token=token
            ) as session:
                assert session.get(User, people[Region.AFRICA])

        read()
        with RoutingSession(engines=engines, region="europe", token=token) as session:
            session.execute(update(User).values(last_name="X"))
            session.commit()
        replica = cluster.node("eu-replica-1")
        replica.kill()
        try:
            read()
            read()
        finally:
            replica.start()
        assert wait_until(lambda: engines.replicas("eu")[0].is_fit, 10)
        read()
    primary, found = "eu-primary", "eu-replica-1"
    assert nodes == [found, primary, primary, primary, found]
    # Engines of other tests, which watch the same node, say so too.
    assert "eu-replica-1 at" in caplog.text
    assert "is left out: connection" in caplog.text
    assert "is back" in caplog.text


@pytest.mark.parametrize("kind", ["in", "text", "executemany", "from_statement"])
def test_ids_are_found_in_every_form(
    engines: Engines, people: dict[Region, UUID], kind: str
) -> None:
    asia = people[Region.ASIA]
    table = Base.metadata.tables["users"]
    with RoutingSession(engines=engines, region="europe") as session, served(engines) as nodes:
        change = update(User).values(first_name="X")
        if kind == "in":
            session.execute(change.where(User.id.in_([uuid4(), asia])))
        elif kind == "text":
            session.execute(change.where(User.id == str(asia)))
        elif kind == "executemany":
            by_id = update(table).where(table.c.id == bindparam("which")).values(first_name="X")
            session.execute(by_id, [{"which": asia}])
        else:
            returning = change.where(User.id == asia).returning(User)
            assert session.scalars(select(User).from_statement(returning)).one().id == asia
        session.commit()
    assert set(nodes) == {"asia-primary"}
    with RoutingSession(engines=engines, consistency="primary") as session:
        assert session.get_one(User, asia).first_name == "X"


@pytest.mark.parametrize(
    "build",
    [
        lambda one: select(func.count()).select_from(select(User).where(User.id == one).subquery()),
        lambda one: select(select(User.id).where(User.id == one).exists()),
        lambda one: union(
            select(User.id).where(User.id == one),
            select(UserProfile.user_id).where(UserProfile.user_id == one),
        ),
    ],
    ids=["subquery", "exists", "union"],
)
def test_ids_are_found_inside_what_is_read_from(
    engines: Engines, people: dict[Region, UUID], build: Callable[[UUID], Any]
) -> None:
    with RoutingSession(engines=engines, region="europe") as session, served(engines) as nodes:
        assert session.execute(build(people[Region.ASIA])).scalar()
        assert session.query(User).filter(User.id == people[Region.ASIA]).count() == 1
    assert nodes == ["asia-replica-1", "asia-replica-1"]


def test_an_insert_of_rows_of_two_shards_is_refused(
    engines: Engines, people: dict[Region, UUID]
) -> None:
    rows = [
        {
            "id": new_id(region),
            "email": f"{region}@example.com",
            "first_name": "A",
            "last_name": "B",
        }
        for region in ("europe", "asia")
    ]
    with (
        RoutingSession(engines=engines, region="asia") as session,
        pytest.raises(CrossShardWrite, match="shard asia and cannot write on shard eu"),
    ):
        session.execute(insert(User), rows)


@pytest.mark.parametrize("option", ["yield_per", "stream_results"])
def test_streaming_reads_a_replica_in_a_transaction(
    engines: Engines, people: dict[Region, UUID], option: str
) -> None:
    with RoutingSession(engines=engines, region="europe") as session, served(engines) as nodes:
        found = session.scalars(select(User.id), execution_options={option: 10}).all()
        session.scalars(select(User.id)).all()
    assert len(found) == 2
    assert set(nodes) == {"eu-replica-1"}


async def test_an_async_stream(platform: Platform, people: dict[Region, UUID]) -> None:
    async with platform.session("europe") as session:
        result = await session.stream_scalars(select(User.id))
        assert {one async for one in result} == {people[Region.EUROPE], people[Region.AFRICA]}


async def test_a_timeout_is_a_timeout(platform: Platform) -> None:
    async with platform.session("europe") as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.execute(text("SELECT pg_sleep(30)"))


def test_a_commit_whose_position_is_unknown_stands(
    engines: Engines, people: dict[Region, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    import elearning.routing.session as module  # noqa: PLC0415

    def lost(*_: object) -> Position:
        raise NodeUnavailable(node="eu-primary", address="x", problem="lost")

    monkeypatch.setattr(module, "committed_position", lost)
    with RoutingSession(engines=engines, region="europe") as session, served(engines) as nodes:
        session.execute(update(User).values(last_name="Kept"))
        session.commit()
        assert session.token == {"eu": UNKNOWN}
        assert set(session.scalars(select(User.last_name))) == {"Kept"}
    assert nodes == ["eu-primary", "eu-primary"]


def test_a_session_that_has_nothing_to_run_on() -> None:
    with pytest.raises(UnboundExecutionError):
        RoutingSession().scalars(select(User))


def test_no_parameters_in_errors(engines: Engines, people: dict[Region, UUID]) -> None:
    with RoutingSession(engines=engines, region="europe") as session:
        taken = session.get_one(User, people[Region.EUROPE]).email
        session.add(User(email=taken, password_hash="$SECRET", first_name="A", last_name="B"))
        with pytest.raises(IntegrityError) as caught:
            session.flush()
        assert "SECRET" not in "".join(traceback.format_exception(caught.value))


def test_enumerations_have_the_words_of_the_design() -> None:
    assert [each.value for each in Consistency] == ["eventual", "session", "primary"]


def test_an_enrollment_by_id(engines: Engines, empty_databases: None) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        enrollment_id = EnrollmentFactory.create(user__region="africa").id
        session.commit()
    with RoutingSession(engines=engines, token=session.token) as reader:
        assert reader.get(Enrollment, enrollment_id)
