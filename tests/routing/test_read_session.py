"""Sessions that only read: neither a type checker nor the session lets them write."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import InternalError, NoResultFound
from sqlalchemy.orm import Session, joinedload, lazyload, object_session, selectinload

from elearning.errors import ReadOnlySession
from elearning.flows import Platform
from elearning.ids import new_id
from elearning.models import PaymentMethod, User
from elearning.routing import AsyncReadSession, Engines, ReadSession, RoutingSession
from elearning.routing.token import UNKNOWN
from elearning.testing.factories import UserProfileFactory, bound
from elearning.testing.switches import Switches
from tests.served import served

ROOT = Path(__file__).resolve().parents[2]
PRIMARY, REPLICA = "eu-primary", "eu-replica-1"
NEW: dict[str, Any] = {
    "id": new_id("europe"),
    "email": "new@example.com",
    "first_name": "N",
    "last_name": "E",
}


@pytest.fixture
def user_id(engines: Engines, empty_databases: None, switches: Switches) -> UUID:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        found = UserProfileFactory.create(user__first_name="Old").user_id
        session.commit()
    switches.catch_up(REPLICA)
    return found


def content(engines: Engines) -> list[tuple[object, ...]]:
    with engines.primary("eu").engine.connect() as connection:
        table: Any = User.__table__
        return [tuple(row) for row in connection.execute(select(table, table.c.xmin))]


def object_session_of(row: object) -> Session:
    session = object_session(row)
    assert session is not None
    return session


def changed(user: User) -> Session:
    user.first_name = "New"
    return object_session_of(user)


def each(*steps: Callable[[Session], object], user: User) -> None:
    for step in steps:
        step(object_session_of(user))


Way = Callable[[Any, User], object]

STATEMENTS: dict[str, Any] = {
    "insert": insert(User).values(**NEW),
    "upsert": upsert(User).values(**NEW).on_conflict_do_nothing(),
    "update": update(User).values(first_name="New"),
    "update-returning": update(User).values(first_name="New").returning(User),
    "delete": delete(User),
    "cte": select(delete(User).returning(User.id).cte()),
    "text": text("UPDATE users SET first_name = 'New'"),
    "text-cte": text("WITH gone AS (DELETE FROM users RETURNING id) SELECT count(*) FROM gone"),
    "function": select(func.lo_create(0)),
    "lock": select(User).with_for_update(),
    "from-statement": select(User).from_statement(
        update(User).values(first_name="New").returning(User)
    ),
    "block": text("DO $$ BEGIN UPDATE users SET first_name = 'New'; END $$"),
}

# A call of what returns nothing is a step of several.
WAYS: dict[str, Way] = {
    "flush": lambda _, user: changed(user).flush(),
    "commit": lambda _, user: changed(user).commit(),
    "add": lambda _, user: each(lambda s: s.add(User(**NEW)), Session.flush, user=user),
    "delete": lambda _, user: each(lambda s: s.delete(user), Session.flush, user=user),
    "autoflush": lambda session, user: (changed(user), session.scalars(select(User)).all()),
    "bulk-objects": lambda _, user: object_session_of(user).bulk_save_objects([User(**NEW)]),
    "bulk-insert": lambda _, user: object_session_of(user).bulk_insert_mappings(
        User.__mapper__, [dict(NEW)]
    ),
    "bulk-update": lambda _, user: object_session_of(user).bulk_update_mappings(
        User.__mapper__, [{"id": user.id, "first_name": "New"}]
    ),
    "merge": lambda _, user: each(
        lambda s: s.merge(User(id=user.id, first_name="New")), Session.flush, user=user
    ),
    "query": lambda _, user: object_session_of(user).query(User).update({"first_name": "New"}),
    "savepoint": lambda _, user: each(
        Session.begin_nested, lambda _: changed(user).flush(), user=user
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_that_writes_is_refused(engines: Engines, user_id: UUID, name: str) -> None:
    before = content(engines)
    with ReadSession(engines=engines, region="europe") as session:
        for run in (session.execute, session.scalars, session.scalar):
            with pytest.raises(ReadOnlySession, match="a read session cannot"):
                run(STATEMENTS[name])
            session.close()
        # It goes on.
        assert session.get_one(User, user_id).first_name == "Old"
    assert content(engines) == before


@pytest.mark.parametrize("name", WAYS)
def test_every_other_way_to_write_is_refused(engines: Engines, user_id: UUID, name: str) -> None:
    before = content(engines)
    with ReadSession(engines=engines, region="europe") as session:
        user = session.get_one(User, user_id)
        with pytest.raises(ReadOnlySession, match="a read session cannot"):
            WAYS[name](session, user)
        session.close()
        assert session.get_one(User, user_id).first_name == "Old"
    assert content(engines) == before


def test_its_connection_only_reads(engines: Engines, user_id: UUID) -> None:
    """Who takes the connection from behind a row gets the server's own error."""
    before = content(engines)
    with ReadSession(engines=engines, region="europe") as session:
        connection = object_session_of(session.get_one(User, user_id)).connection()
        with pytest.raises(InternalError, match="read-only transaction"):
            connection.execute(update(User).values(first_name="New"))
    assert content(engines) == before


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_that_writes_is_refused_by_asyncio_too(
    platform: Platform, engines: Engines, name: str
) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        UserProfileFactory.create()
        session.commit()
    before = content(engines)
    async with platform.read_session("europe", consistency="primary") as reader:
        runs: list[Callable[[Any], Awaitable[object]]] = [
            reader.execute,
            reader.scalars,
            reader.scalar,
            lambda statement: reader.run_sync(lambda sync: sync.execute(statement)),
        ]
        for run in runs:
            with pytest.raises(ReadOnlySession):
                await run(STATEMENTS[name])
            await reader.close()
        user = (await reader.scalars(select(User))).one()
        user.first_name = "New"
        with pytest.raises(ReadOnlySession):
            await reader.scalars(select(User))
    assert content(engines) == before


@pytest.mark.parametrize("kind", [ReadSession, AsyncReadSession])
def test_there_is_nothing_to_write_with(kind: type) -> None:
    for name in (
        *("add", "add_all", "delete", "merge", "flush", "commit", "begin", "begin_nested"),
        *("bulk_save_objects", "bulk_insert_mappings", "connection", "query", "sync_session"),
    ):
        assert not hasattr(kind, name)
    assert not issubclass(kind, Session)


def test_what_is_unclear_runs_on_the_primary_and_reads_only(
    engines: Engines, user_id: UUID
) -> None:
    sent: list[str] = []

    def note(_c: object, _cu: object, sql: str, *_: object) -> None:
        sent.append(sql)

    engine = engines.primary("eu").engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        with (
            ReadSession(engines=engines, region="europe") as session,
            served(engines) as nodes,
        ):
            read_only = text("SELECT current_setting('transaction_read_only')")
            assert session.execute(read_only).scalar() == "on"
            assert session.scalar(select(func.current_setting("transaction_read_only"))) == "on"
            # So is what follows it there.
            assert session.get_one(User, user_id).first_name == "Old"
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert nodes == [PRIMARY, PRIMARY, PRIMARY]
    assert len(sent) == 3
    # The connection is given back as it was.
    with RoutingSession(engines=engines, region="europe") as writer:
        assert writer.scalar(text("SELECT current_setting('transaction_read_only')")) == "off"


def test_what_only_reads_uses_the_replica(engines: Engines, user_id: UUID) -> None:
    with ReadSession(engines=engines, region="asia") as session, served(engines) as nodes:
        user = session.get_one(User, user_id)
        assert session.get(User, user_id) is user
        assert user in session
        assert list(session) == [user]
        assert session.scalar(select(User.first_name).where(User.id == user_id)) == "Old"
        loaded = select(User).where(User.id == user_id)
        eager = loaded.options(joinedload(User.profile), selectinload(User.payment_methods))
        assert session.scalars(eager).one() is user
        lazy = loaded.options(lazyload(User.profile)).execution_options(populate_existing=True)
        assert session.execute(lazy).scalar_one().profile is not None
        session.refresh(user)
        session.expunge(user)
        assert user not in session
        with pytest.raises(NoResultFound):
            session.get_one(User, new_id("europe"))
        session.close()
    assert set(nodes) == {REPLICA}


def test_consistency_and_token_are_those_of_routing_sessions(
    engines: Engines, user_id: UUID
) -> None:
    options: dict[str, Any] = {"engines": engines, "region": "europe", "max_wait": 0}
    levels: list[tuple[dict[str, Any], str]] = [
        ({}, REPLICA),
        ({"consistency": "primary"}, PRIMARY),
        ({"token": "eu:*"}, PRIMARY),
        ({"token": "eu:*", "consistency": "eventual"}, REPLICA),
    ]
    for more, node in levels:
        with ReadSession(**options, **more) as session, served(engines) as nodes:
            session.scalars(select(User)).all()
            assert session.region == "europe"
            assert set(session.token.values()) <= {UNKNOWN}
        assert nodes == [node]


def test_it_writes_on_no_shard_so_it_reads_primaries_of_several(
    engines: Engines, user_id: UUID
) -> None:
    with ReadSession(engines=engines, consistency="primary") as session, served(engines) as nodes:
        for region in ("europe", "asia", "north_america"):
            session.execute(text("SELECT 1"), execution_options={"region": region})
            session.get(PaymentMethod, new_id(region))
    assert nodes == [node for each in ("eu", "asia", "na") for node in [f"{each}-primary"] * 2]


async def test_asyncio_reads_alike(platform: Platform, engines: Engines) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        user_id = UserProfileFactory.create(user__first_name="Old").user_id
        session.commit()
        token = str(session.token)
    async with platform.read_session("asia", token=token) as reader:
        with served(platform.engines) as nodes:
            user = await reader.get_one(User, user_id)
            assert await reader.get(User, user_id) is user
            await reader.refresh(user, ["first_name"])
            assert (await reader.scalars(select(User).where(User.id == user_id))).one() is user
            one = select(User.first_name).where(User.id == user_id)
            assert await reader.scalar(one) == "Old"
            assert (await reader.execute(one)).scalar_one() == "Old"
            assert await reader.run_sync(lambda sync: sync.get(User, user_id)) is user
        assert len(set(nodes)) == 1
        assert "replica" in reader.explain_route(select(User))
        assert str(reader.token) == token
        assert reader.region == "asia"


SNIPPET = """
from uuid import UUID

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from elearning.models import User
from elearning.routing import (
    AsyncReadSession,
    AsyncRoutingSession,
    Reader,
    ReadSession,
    RoutingSession,
)


def reads(session: Reader, user_id: UUID) -> str | None:
    session.execute(select(User.id, User.email)).all()
    session.execute(text("SELECT 1"))
    session.scalar(select(User.email))
    return session.get_one(User, user_id).email


def writes(session: Session) -> None:
    session.add(User())


def check(reading: ReadSession, routing: RoutingSession, plain: Session, one: UUID) -> None:
    email: str | None = reads(reading, one)
    email = reads(routing, one)
    email = reads(plain, one)
    writes(routing)
    user: User | None = reading.get(User, one)
    for row_id, address in reading.execute(select(User.id, User.email)):
        row: tuple[UUID, str] = (row_id, address)
    users: list[User] = list(reading.scalars(select(User)))
    reading.add(user)  # error: attr-defined
    reading.add_all([user])  # error: attr-defined
    reading.delete(user)  # error: attr-defined
    reading.merge(user)  # error: attr-defined
    reading.flush()  # error: attr-defined
    reading.commit()  # error: attr-defined
    reading.begin()  # error: attr-defined
    reading.connection()  # error: attr-defined
    reading.query(User)  # error: attr-defined
    reading.execute(insert(User))  # error: call-overload
    reading.execute(update(User).values(email="x"))  # error: call-overload
    reading.execute(delete(User))  # error: call-overload
    reading.scalars(insert(User).returning(User))  # error: arg-type
    reading.scalar(update(User).returning(User.id))  # error: arg-type
    writes(reading)  # error: arg-type
    number: int = reading.get_one(User, one).email  # error: assignment


async def check_async(reading: AsyncReadSession, routing: AsyncRoutingSession, one: UUID) -> None:
    email: str | None = await reading.run_sync(reads, one)
    email = await routing.run_sync(reads, one)
    await routing.run_sync(writes)
    user: User = await reading.get_one(User, one)
    users: list[User] = list(await reading.scalars(select(User)))
    reading.add(user)  # error: attr-defined
    await reading.flush()  # error: attr-defined
    await reading.commit()  # error: attr-defined
    await reading.delete(user)  # error: attr-defined
    await reading.execute(insert(User))  # error: call-overload
    await reading.scalars(update(User).returning(User))  # error: arg-type
    await reading.run_sync(writes)  # error: arg-type
"""


def test_what_a_type_checker_says(tmp_path: Path) -> None:
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", file],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    found = {
        (int(line), code)
        for line, code in re.findall(
            r"snippet\.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE
        )
    }
    expected = {
        (number, line.partition("# error: ")[2])
        for number, line in enumerate(SNIPPET.splitlines(), start=1)
        if "# error: " in line
    }
    assert found == expected, done.stdout + done.stderr
