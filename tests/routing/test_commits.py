"""A COMMIT brings back how far the log reaches, and what it cannot tell is not made up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from psycopg.errors import UniqueViolation
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import IntegrityError

from elearning.config import Settings
from elearning.flows import Platform
from elearning.routing import Engines, RoutingSession, commits
from elearning.routing.commits import AsyncCommittingConnection, CommittingConnection
from elearning.routing.token import UNKNOWN, lsn_of

WRITES = text("SELECT pg_logical_emit_message(true, 'test', 'x')::text")


def conninfo(settings: Settings) -> str:
    url = settings.shard("eu").owner_url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


@pytest.fixture
def connection(settings: Settings) -> Iterator[CommittingConnection]:
    with closing(CommittingConnection.connect(conninfo(settings))) as connection:
        connection.execute("CREATE TEMP TABLE one (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        connection.commit()
        connection.forget_commit()
        yield connection


def written(connection: CommittingConnection) -> int:
    row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    return lsn_of(row[0])


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Note what an engine executes."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        seen.append(sql)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_no_statement_follows_a_commit(engines: Engines) -> None:
    counts = []
    # Once in a thousand times the log ends with a page, and something more is asked.
    for _ in range(3):
        with (
            RoutingSession(engines=engines, region="europe") as session,
            statements(engines.primary("eu").engine) as seen,
        ):
            before = session.scalar(WRITES)
            session.commit()
        assert session.token["eu"] != UNKNOWN
        assert session.token["eu"].lsn >= lsn_of(str(before))
        counts.append(len(seen))
    assert min(counts) == 1


async def test_nor_with_asyncio(platform: Platform) -> None:
    counts = []
    for _ in range(3):
        async with platform.session("europe") as session:
            with statements(platform.engines.primary("eu").engine) as seen:
                before = await session.scalar(WRITES)
                await session.commit()
        assert session.token["eu"].lsn >= lsn_of(str(before))
        counts.append(len(seen))
    assert min(counts) == 1


@pytest.mark.parametrize("level", ["on", "off"])
@pytest.mark.parametrize("local", [True, False], ids=["transaction", "session"])
def test_the_position_includes_the_commit(
    connection: CommittingConnection, level: str, local: bool
) -> None:
    connection.execute("SELECT set_config('synchronous_commit', %s, %s)", [level, local])
    connection.execute("INSERT INTO one VALUES (1)")
    connection.execute("SELECT pg_logical_emit_message(true, 'test', 'x')")
    before = written(connection)
    connection.commit()
    assert connection.position is not None
    assert connection.position != UNKNOWN
    assert connection.position.lsn >= before


def test_a_commit_that_is_refused(connection: CommittingConnection) -> None:
    connection.execute("INSERT INTO one VALUES (1), (1)")
    with pytest.raises(UniqueViolation):
        connection.commit()
    # It does not stand, and that is known.
    assert connection.position is None
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM one").fetchone() == (0,)


def test_a_commit_of_what_has_failed_is_a_rollback(connection: CommittingConnection) -> None:
    with pytest.raises(UniqueViolation):
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO one VALUES (1), (1)")
    connection.commit()
    assert connection.execute("SELECT count(*) FROM one").fetchone() == (0,)


def test_a_commit_stands_where_the_question_fails(connection: CommittingConnection) -> None:
    connection.execute(
        "CREATE FUNCTION public.pg_current_wal_flush_lsn() RETURNS pg_lsn "
        "LANGUAGE sql AS $$ SELECT (1 / 0)::text::pg_lsn $$"
    )
    try:
        connection.execute("SET search_path = public, pg_catalog")
        connection.execute("INSERT INTO one VALUES (1)")
        connection.commit()
        assert connection.position == UNKNOWN
        assert connection.execute("SELECT count(*) FROM one").fetchone() == (1,)
    finally:
        connection.rollback()
        connection.execute("DROP FUNCTION public.pg_current_wal_flush_lsn()")
        connection.commit()


def test_a_commit_whose_answer_is_lost(connection: CommittingConnection) -> None:
    connection.execute("INSERT INTO one VALUES (1)")
    # The socket is closed under libpq, as by a network that is gone.

    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    assert connection.position == UNKNOWN


def test_what_an_earlier_commit_was_told_is_no_news(connection: CommittingConnection) -> None:
    connection.execute("INSERT INTO one VALUES (1)")
    connection.commit()
    positions = [connection.position]
    # There is nothing to commit.
    connection.commit()
    positions.append(connection.position)
    assert [position is None for position in positions] == [False, True]


def test_other_ways_to_commit(connection: CommittingConnection) -> None:
    with connection.pipeline():
        connection.execute("INSERT INTO one VALUES (1)")
        connection.commit()
    with connection.transaction():
        connection.execute("INSERT INTO one VALUES (2)")
    with connection.transaction(), pytest.raises(psycopg.ProgrammingError):
        connection.commit()
    assert connection.position is None
    assert connection.execute("SELECT count(*) FROM one").fetchone() == (2,)


async def test_the_asynchronous_kind(settings: Settings) -> None:
    async with await AsyncCommittingConnection.connect(conninfo(settings)) as connection:
        await connection.rollback()
        await connection.execute("CREATE TEMP TABLE one (id int)")
        await connection.rollback()
        await connection.execute("CREATE TEMP TABLE one (id int)")
        await connection.commit()
        assert connection.position is not None
        await connection.execute("DROP TABLE one")


@pytest.mark.parametrize("asked", [True, False])
def test_a_commit_that_stands_is_known_where_a_listener_fails(
    engines: Engines, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So it is where an interrupt, or another shard's COMMIT, comes in between.
    def fail(_: object) -> None:
        raise RuntimeError

    if not asked:
        monkeypatch.setattr(commits, "_COMMIT", b"SHOW synchronous_commit; COMMIT")
    event.listen(RoutingSession, "after_commit", fail, insert=True)
    try:
        with RoutingSession(engines=engines, region="europe") as session:
            before = session.scalar(WRITES)
            with pytest.raises(RuntimeError):
                session.commit()
            session.close()
            assert session.token["eu"].lsn >= lsn_of(str(before))
            assert (session.token["eu"] == UNKNOWN) is not asked
    finally:
        event.remove(RoutingSession, "after_commit", fail)


def test_a_commit_that_is_refused_is_in_no_token(engines: Engines) -> None:
    with RoutingSession(engines=engines, region="europe") as session:
        session.execute(text("CREATE TEMP TABLE one (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        session.execute(text("INSERT INTO one VALUES (1), (1)"))
        with pytest.raises(IntegrityError):
            session.commit()
        session.rollback()
        assert session.token == {}


def test_who_listens_to_connecting_is_asked(settings: Settings) -> None:
    heard = []
    with Engines(settings) as engines:
        for node in engines.nodes:
            for engine in node.engines:
                event.listen(engine, "do_connect", lambda *_, name=node.name: heard.append(name))
        engines.open()
    assert set(heard) == {node.name for node in engines.nodes}
