"""A replica is gone, silent, behind, or in the way: reads go elsewhere, and come back."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier, Event
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, update

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Limits, Settings
from elearning.errors import NodeUnavailable
from elearning.flows import Platform
from elearning.models import User, UserProfile
from elearning.routing import Engines, RoutingSession
from elearning.routing.replay import current_position
from elearning.testing.factories import UserFactory, bound
from elearning.testing.switches import Switches
from tests.routing.loss import (
    QUICK,
    new_user,
    read,
    taking_at_most,
    wait_until,
    with_limits,
    write,
)
from tests.served import served

pytestmark = pytest.mark.usefixtures("empty_databases")


def twice(settings: Settings) -> Settings:
    """Let the eu shard have two replicas; both are the same server, and two nodes to us."""
    eu = settings.shard("eu")
    return replace(
        with_limits(settings),
        shards=tuple(
            replace(each, replicas=eu.replicas * 2) if each is eu else each
            for each in settings.shards
        ),
    )


@pytest.fixture
def crowd(engines: Engines, empty_databases: None) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        UserFactory.create_batch(60, region="europe")
        session.commit()
        # The replica has them from here on.
        session.scalars(select(User.id)).all()


@contextmanager
def superuser(cluster: EmbeddedCluster, node: str) -> Iterator[psycopg.Connection[Any]]:
    url = cluster.url(node, "postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def lock(root: psycopg.Connection[Any], table: str) -> None:
    """Lock a table, on the replicas too: of a transaction with an id, locks are replayed."""
    root.execute("BEGIN")
    root.execute("SELECT pg_current_xact_id()")
    root.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


@contextmanager
def running_on(cluster: EmbeddedCluster, node: str, words: str) -> Iterator[None]:
    """Wait until a statement runs on a node."""
    with superuser(cluster, node) as root:
        running = (
            "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s "
            "AND pid <> pg_backend_pid()"
        )
        assert wait_until(lambda: root.execute(running, [f"%{words}%"]).rowcount > 0, 10)
    yield


@pytest.mark.parametrize("fault", ["kill", "silence", "terminate"])
def test_a_read_that_its_replica_fails_is_done_elsewhere(
    settings: Settings,
    switches: Switches,
    cluster: EmbeddedCluster,
    engines: Engines,
    fault: str,
) -> None:
    user_id = new_user(engines)
    with (
        Engines(with_limits(settings)) as lost,
        RoutingSession(engines=lost, region="europe") as session,
        ThreadPoolExecutor(1) as thread,
        served(lost) as nodes,
        superuser(cluster, "eu-primary") as primary,
    ):
        # Replayed, the lock makes the read wait on the replica.
        lock(primary, "users")
        switches.catch_up("eu-replica-1")
        found = thread.submit(session.scalar, select(User.id))
        with running_on(cluster, "eu-replica-1", "FROM users"):
            if fault == "terminate":
                with superuser(cluster, "eu-replica-1") as root:
                    root.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE query LIKE '%FROM users%' AND pid <> pg_backend_pid()"
                    )
            else:
                getattr(switches, fault)("eu-replica-1")
        primary.execute("ROLLBACK")
        assert found.result(30) == user_id
        assert nodes == ["eu-replica-1", "eu-primary"]


def test_a_read_in_the_way_of_replay_is_done_on_another_replica(
    settings: Settings, switches: Switches, cluster: EmbeddedCluster, engines: Engines
) -> None:
    new_user(engines)
    with (
        Engines(twice(settings)) as lost,
        RoutingSession(engines=lost, region="europe") as session,
        ThreadPoolExecutor(1) as thread,
        served(lost) as nodes,
        superuser(cluster, "eu-replica-1") as replica,
        superuser(cluster, "eu-primary") as one,
        superuser(cluster, "eu-primary") as other,
    ):
        replica.execute("ALTER SYSTEM SET max_standby_streaming_delay = '20ms'")
        replica.execute("SELECT pg_reload_conf()")
        try:
            lock(one, "user_profiles")
            switches.catch_up("eu-replica-1")
            # It has the users, and waits for the profiles ...
            found = thread.submit(session.scalar, select(func.count(User.id)).join(UserProfile))
            with running_on(cluster, "eu-replica-1", "count(users.id)"):
                # ... when replay wants the users, waits a little, and ends it: 40001.
                lock(other, "users")
                switches.catch_up("eu-replica-1")
            one.execute("ROLLBACK")
            other.execute("ROLLBACK")
            assert found.result(30) == 0
        finally:
            replica.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
            replica.execute("SELECT pg_reload_conf()")
        assert len(nodes) == 2
        assert set(nodes) == {"eu-replica-1", "eu-replica-2"}
        # Nothing is wrong with either.
        assert all(node.is_fit for node in lost.replicas("eu"))


def test_what_was_read_before_is_not_read_from_another_replica(
    settings: Settings, switches: Switches, engines: Engines
) -> None:
    # The other one might be behind: the second read would go back in time.
    user_id = new_user(engines)
    with (
        Engines(twice(settings)) as lost,
        RoutingSession(engines=lost, region="europe") as session,
        served(lost) as nodes,
    ):
        session.scalars(select(User.id)).all()
        switches.kill("eu-replica-1")
        assert session.scalars(select(User.id)).all() == [user_id]
    assert nodes[-1] == "eu-primary"
    assert len(nodes) == 3


def test_a_second_replica_is_tried_and_then_the_primary(
    settings: Settings, switches: Switches, engines: Engines
) -> None:
    user_id = new_user(engines)
    with Engines(twice(settings)) as lost, served(lost) as nodes:
        lost.open()
        switches.kill("eu-replica-1")
        with RoutingSession(engines=lost) as session:
            assert session.get_one(User, user_id).id == user_id
    assert nodes == ["eu-primary"]
    assert all(node.problem for node in lost.replicas("eu"))


# psycopg's cursor on the server, which cannot be told any more that it is closed.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <function ServerCursorMixin.__del__")
def test_a_read_inside_a_transaction_fails_with_it(
    settings: Settings, switches: Switches, engines: Engines
) -> None:
    user_id = new_user(engines)
    with Engines(with_limits(settings)) as lost, RoutingSession(engines=lost) as session:
        stream = {"yield_per": 10}
        session.execute(select(User).where(User.id == user_id), execution_options=stream).all()
        switches.kill("eu-replica-1")
        with pytest.raises(NodeUnavailable, match="eu-replica-1"):
            session.execute(select(User).where(User.id == user_id), execution_options=stream)
    gc.collect()


async def test_the_same_for_asyncio(
    settings: Settings, switches: Switches, engines: Engines
) -> None:
    user_id = new_user(engines)
    async with Platform(settings) as lost:
        for fault, mend in (("kill", "restart"), ("silence", "speak")):
            async with lost.read_session() as session:
                assert (await session.get_one(User, user_id)).id == user_id
                getattr(switches, fault)("eu-replica-1")
                with taking_at_most(3.5):
                    found = await session.scalars(select(User.id).where(User.id == user_id))
                assert found.all() == [user_id]
            getattr(switches, mend)("eu-replica-1")
            node = lost.engines.replicas("eu")[0]
            assert wait_until(lambda: node.is_fit, 10)  # noqa: B023 - it is called here


@pytest.mark.usefixtures("crowd")
def test_without_replicas_the_primary_reads_and_is_not_drowned(
    settings: Settings,
    switches: Switches,
    cluster: EmbeddedCluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    switches.kill("eu-replica-1")
    begun, go_on = Barrier(6), Event()

    def hold(lost: Engines) -> int:
        with RoutingSession(engines=lost, region="europe") as session:
            first = session.scalars(select(User.id)).all()
            begun.wait(20)
            go_on.wait(20)
            return len(first)

    with (
        caplog.at_level(logging.WARNING, "elearning.routing"),
        Engines(with_limits(settings)) as lost,
        ThreadPoolExecutor(30) as threads,
    ):
        readers = [threads.submit(hold, lost) for _ in range(5)]
        begun.wait(20)
        more = [threads.submit(read_all, lost) for _ in range(20)]
        # Five connections read, and whoever writes is not kept waiting by 25 readers.
        assert lost.primary("eu").reader.pool.checkedout() == 5  # type: ignore[attr-defined]
        with RoutingSession(engines=lost, region="europe") as session, bound(session):
            UserFactory.create(region="europe")
            session.commit()
        assert not any(each.done() for each in more)
        go_on.set()
        assert [each.result(20) for each in readers] == [60] * 5
        assert {each.result(20) for each in more} == {61}
        switches.restart("eu-replica-1")
        assert wait_until(lambda: lost.replicas("eu")[0].is_fit, 10)
        with served(lost) as nodes:
            read_all(lost)
        assert nodes == ["eu-replica-1"]
    # Once, though readers that notice it in the same moment may each tell.
    told = caplog.text.count("all replicas of shard eu are left out: its primary reads")
    assert told in range(1, 6)


def read_all(engines: Engines) -> int:
    with RoutingSession(engines=engines, region="europe") as session:
        return len(session.scalars(select(User.id)).all())


@pytest.mark.parametrize(
    ("seconds", "size", "is_fit"),
    [(0.05, 1000, False), (60, 1000, True), (0.05, 8 * 2**20, True)],
    ids=["both", "bytes", "seconds"],
)
def test_a_replica_that_is_behind_is_left_out(
    settings: Settings,
    switches: Switches,
    engines: Engines,
    seconds: float,
    size: float,
    *,
    is_fit: bool,
) -> None:
    user_id = new_user(engines)
    limits = Limits(check_interval=0.1, max_lag_seconds=seconds, max_lag_bytes=size)
    with Engines(with_limits(settings, limits)) as lost:
        node = lost.replicas("eu")[0]
        assert read(lost, user_id)
        assert wait_until(lambda: node.replayed is not None, 10)
        with switches.replay_paused("eu-replica-1"):
            for number in range(30):
                write(engines, user_id, f"Name {number}")
            with engines.primary("eu").engine.connect() as connection:
                written = current_position(connection)
            assert wait_until(lambda: lost.primary("eu").state.written >= written, 10)
            if not is_fit:
                assert wait_until(lambda: node.lag is not None, 10)
                assert "bytes behind its primary" in (node.lag or "")
                assert read(lost, user_id, "eventual") == "Name 29"
            else:
                assert read(lost, user_id, "eventual") != "Name 29"
        assert wait_until(lambda: node.is_fit, 10)
        with served(lost) as nodes:
            switches.catch_up("eu-replica-1")
            assert read(lost, user_id, "eventual") == "Name 29"
        assert nodes == ["eu-replica-1"]


def test_where_nothing_is_written_nobody_is_behind(settings: Settings, engines: Engines) -> None:
    # The last transaction that was replayed grows older and older.
    user_id = new_user(engines)
    limits = Limits(check_interval=0.05, max_lag_seconds=0, max_lag_bytes=0)
    with Engines(with_limits(settings, limits)) as lost:
        assert read(lost, user_id)
        node = lost.replicas("eu")[0]
        assert wait_until(lambda: node.replayed is not None and node.is_fit, 10)


def test_a_replica_that_is_a_primary_is_not_read(settings: Settings) -> None:
    eu = settings.shard("eu")
    wrong = replace(
        settings,
        limits=QUICK,
        shards=tuple(
            replace(each, replicas=(eu.primary,)) if each is eu else each
            for each in settings.shards
        ),
    )
    with (
        Engines(wrong) as engines,
        RoutingSession(engines=engines, region="europe") as session,
        served(engines) as nodes,
    ):
        assert session.scalars(select(User.id)).all() == []
        assert nodes == ["eu-primary"]
        assert "is a primary, expected a replica" in (engines.replicas("eu")[0].problem or "")


@pytest.mark.parametrize("begins", [True, False], ids=["begin", "autobegin"])
@pytest.mark.parametrize("what", ["read", "stream", "another shard"])
def test_a_replica_that_died_has_no_part_in_a_commit(
    settings: Settings, switches: Switches, engines: Engines, what: str, *, begins: bool
) -> None:
    here, there = new_user(engines, "europe"), new_user(engines, "asia")
    shard = "asia" if what == "another shard" else "eu"
    with Engines(with_limits(settings)) as lost, RoutingSession(engines=lost) as session:
        if begins:
            session.begin()
        if what == "stream":
            session.scalars(
                select(User.id).where(User.id == here), execution_options={"yield_per": 5}
            ).all()
        else:
            session.get_one(User, there if shard == "asia" else here)
        switches.kill(f"{shard}-replica-1")
        if what == "read":
            session.scalars(select(User.id).where(User.id == here)).all()
        session.execute(update(User).where(User.id == here).values(first_name="Written"))
        session.commit()
        assert set(session.token) == {"eu"}
    assert read(engines, here, "primary") == "Written"


def test_reading_alone_is_committed_without_the_replica(
    settings: Settings, switches: Switches, engines: Engines
) -> None:
    user_id = new_user(engines)
    with Engines(with_limits(settings)) as lost, RoutingSession(engines=lost) as session:
        session.get_one(User, user_id)
        switches.kill("eu-replica-1")
        session.commit()
        assert session.token == {}
