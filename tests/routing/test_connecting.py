"""Connections that their server has ended or changed, and positions that can be waited for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import InternalError

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.errors import NodeUnavailable
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from elearning.routing.replay import current_position
from elearning.routing.wire import Wire
from tests.routing.loss import wait_until
from tests.served import served

BACKEND = text("SELECT pg_backend_pid()")
EVERY_CHANGE = update(User).values(first_name="X")


@pytest.fixture
def root(cluster: EmbeddedCluster) -> Iterator[psycopg.Connection[Any]]:
    """Return a superuser's connection to the primary of europe."""
    url = cluster.url("eu-primary", "postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def end(root: psycopg.Connection[Any], pid: int) -> None:
    root.execute("SELECT pg_terminate_backend(%s)", [pid])

    # It leaves pg_stat_activity a moment before its socket is closed.
    def is_gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    assert wait_until(is_gone, 10)


def backend(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(BACKEND) or 0)


def test_an_idle_connection_that_was_ended_costs_no_error(
    settings: Settings, root: psycopg.Connection[Any]
) -> None:
    with Engines(settings) as engines:
        for engine in (engines.primary("eu").engine, engines.primary("eu").reader):
            pid = backend(engine)
            assert backend(engine) == pid
            end(root, pid)
            assert backend(engine) != pid


def test_a_connection_that_is_ended_in_a_transaction(
    settings: Settings, root: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with Engines(settings) as engines, RoutingSession(engines=engines, region="europe") as session:
        end(root, int(session.scalar(BACKEND) or 0))
        # Not tried again: the first half of the transaction is gone.
        with pytest.raises(NodeUnavailable, match="terminating connection due to administrator"):
            session.scalar(BACKEND)
        session.rollback()
        assert session.scalar(BACKEND)
        assert engines.primary("eu").problem is None
    assert "left out" not in caplog.text


def test_a_transaction_that_may_not_write_is_no_demotion(settings: Settings) -> None:
    with Engines(settings) as engines, RoutingSession(engines=engines, region="europe") as session:
        connection = session.connection(execution_options={"postgresql_readonly": True})
        pid = connection.scalar(BACKEND)
        with pytest.raises(InternalError, match="read-only transaction"):
            session.execute(EVERY_CHANGE)
        session.rollback()
        assert session.scalar(BACKEND) == pid


def test_a_primary_that_reads_in_place_of_replicas_reads_only(engines: Engines) -> None:
    with (
        engines.primary("eu").reader.connect() as connection,
        pytest.raises(InternalError, match="read-only transaction"),
    ):
        connection.execute(EVERY_CHANGE)


def test_a_wire_knows_its_server(engines: Engines) -> None:
    for node in engines.nodes:
        with node.engine.connect() as connection:
            wire: Wire = connection.connection.info["wire"]
            assert wire.is_alive()
            assert wire.is_replica() is ("replica" in node.name)
            assert wire.address == (node.engine.url.host, str(node.engine.url.port))


def test_a_wire_that_is_closed_is_harmless(settings: Settings) -> None:
    with Engines(settings) as engines, engines.primary("eu").engine.connect() as connection:
        wire: Wire = connection.connection.info["wire"]
        connection.connection.driver_connection.close()  # type: ignore[union-attr]
        assert not wire.is_alive()
        for action in (wire.cut, wire.finish, wire.abandon):
            action()


def test_a_position_inside_a_record_is_not_taken(
    settings: Settings, root: psycopg.Connection[Any]
) -> None:
    # The server flushes whole pages of what nobody commits, and its log ends inside a record,
    # whose rest no replica receives before somebody commits something.
    inside = (
        "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0') % 8192 = 0 "
        "AND pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()"
    )
    with Engines(settings) as engines, RoutingSession(engines=engines, region="europe") as session:

        def ends_inside() -> bool:
            root.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 9000))")
            return wait_until(lambda: root.execute(inside).fetchone() == (True,), 1)

        assert wait_until(ends_inside, 10)
        session.execute(text("SELECT 1"))
        session.commit()
        assert session.token["eu"].lsn % 8192 != 0
        session.max_wait = 5
        with served(engines) as nodes:
            session.scalars(select(User.id)).all()
    assert nodes == ["eu-replica-1"]


@pytest.mark.parametrize("level", ["on", "off"])
def test_a_position_includes_the_commit_before_it(engines: Engines, level: str) -> None:
    with engines.primary("eu").engine.connect() as connection:
        connection.execute(text(f"SET synchronous_commit = {level}"))
        connection.execute(EVERY_CHANGE)
        connection.execute(text("SELECT pg_logical_emit_message(true, 'test', 'x')"))
        before = connection.scalar(text("SELECT pg_current_wal_insert_lsn()::text"))
        connection.commit()
        high, low = str(before).split("/")
        assert current_position(connection).lsn >= int(high, 16) << 32 | int(low, 16)
        # The setting goes with it.
        connection.invalidate()
