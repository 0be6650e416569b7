"""Where a statement goes, and why: asked for beforehand, and noted when it runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from elearning.config import Settings
from elearning.errors import CrossShardRead, CrossShardWrite, RegionRequired
from elearning.flows import Platform
from elearning.ids import new_id
from elearning.models import User, UserProfile
from elearning.regions import Region
from elearning.routing import Engines, ReadSession, RoutingSession
from elearning.routing.work import UnitOfWork
from tests.served import served

EUROPE, ASIA = new_id("europe"), new_id("asia")
HOME = r"shard eu \(the session's region europe\), "
SELECT = select(User.id)
CHANGE = update(User).values(first_name="X")
VALUES = {"id": EUROPE, "email": "a@example.com", "first_name": "A", "last_name": "B"}


def nothing(_: Session) -> None:
    """Begin with this."""


def reads(session: Session) -> None:
    session.execute(SELECT)


def writes(session: Session) -> None:
    session.execute(CHANGE)


def writes_in_europe(session: Session) -> None:
    session.execute(CHANGE.where(User.id == EUROPE))


def nests(session: Session) -> None:
    session.begin_nested()


CASES: dict[str, tuple[dict[str, Any], Callable[[Session], None], Any, str]] = {
    # What tells the shard.
    "region": ({}, nothing, SELECT, HOME + "replica: it only reads"),
    "id": (
        {},
        nothing,
        SELECT.where(User.id == ASIA),
        r"shard asia \(an id of asia\), replica: .*",
    ),
    "stranger": ({}, nothing, SELECT.where(User.id == uuid4()), HOME + "replica: .*"),
    "option-shard": (
        {},
        nothing,
        SELECT.execution_options(shard="na"),
        r"shard na \(execution option( shard=na)?\), replica: it only reads",
    ),
    "option-region": (
        {},
        nothing,
        SELECT.execution_options(region="oceania"),
        r"shard asia \(execution option region=oceania\), replica: it only reads",
    ),
    "written": (
        {"region": "asia"},
        writes_in_europe,
        select(func.count()).select_from(UserProfile),
        r"shard eu \(the transaction writes there\), primary: the transaction is there",
    ),
    # What keeps it from a replica.
    "text": ({}, nothing, text("SELECT 1"), HOME + "primary: textclause is not known .*"),
    "update": ({}, nothing, CHANGE, HOME + "primary: update is not known to read only"),
    "delete": ({}, nothing, delete(User), HOME + "primary: delete is not known .*"),
    "insert": (
        {"region": "asia"},
        nothing,
        insert(User).values(VALUES),
        r"shard eu \(an id of europe\), primary: insert is not known to read only",
    ),
    "lock": ({}, nothing, SELECT.with_for_update(), HOME + "primary: it locks rows"),
    "prefix": ({}, nothing, SELECT.prefix_with("/* x */"), HOME + "primary: it has a prefix .*"),
    "function": (
        {},
        nothing,
        select(func.txid_current()),
        HOME + "primary: the function txid_current is not known to read only",
    ),
    "primary": (
        {"consistency": "primary"},
        nothing,
        SELECT,
        HOME + "primary: consistency is primary",
    ),
    "transaction": (
        {},
        writes,
        SELECT,
        r"shard eu \(the transaction writes there\), primary: the transaction is there",
    ),
    "savepoint": ({}, nests, SELECT, HOME + "primary: it is in a savepoint .*"),
    "two-phase": ({"twophase": True}, nothing, SELECT, HOME + "primary: .* two-phase .*"),
    "unknown": ({"token": "eu:*"}, nothing, SELECT, HOME + "primary: nobody knows .*"),
    # Which replica.
    "token": (
        {"token": "eu:1/10", "max_wait": 0.5},
        nothing,
        SELECT,
        HOME + r"replica: it only reads, where 0/10 is replayed; else the primary, after 0\.5 s",
    ),
    "eventual": (
        {"token": "eu:*", "consistency": "eventual"},
        nothing,
        SELECT,
        HOME + "replica: it only reads",
    ),
    "again": ({}, reads, SELECT, HOME + "replica eu-replica-1: the unit of work reads there"),
}


@contextmanager
def notes(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Gather what is logged about statements."""
    found: list[str] = []
    with caplog.at_level(logging.DEBUG, "elearning.routing"):
        caplog.clear()
        yield found
        found += [
            record.getMessage()
            for record in caplog.records
            if record.levelno == logging.DEBUG and record.name == "elearning.routing"
        ]


@pytest.mark.parametrize("name", CASES)
def test_why_in_one_line_beforehand_and_when_it_runs(
    engines: Engines, empty_databases: None, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    options, before, statement, expected = CASES[name]
    with RoutingSession(engines=engines, **{"region": "europe", **options}) as session:
        before(session)
        begun = session.in_transaction()
        with served(engines) as nodes, notes(caplog) as logged:
            told = session.explain_route(statement)
        assert re.fullmatch(expected, told), told
        # Nothing was sent, noted or decided.
        assert (nodes, logged, session.in_transaction()) == ([], [], begun)
        if not begun:
            assert session._work == UnitOfWork()
        with served(engines) as nodes, notes(caplog) as logged:
            session.execute(statement)
        assert logged == [f"{type(statement).__name__.lower()}: {told}"]
        assert len(set(nodes)) == 1
        shard, role = nodes[0].split("-")[:2]
        assert told.startswith(f"shard {shard} (")
        assert f"), {role}" in told


def test_a_session_that_does_not_route(engines: Engines) -> None:
    with RoutingSession(engines.primary("eu").engine, engines=engines) as session:
        assert session.explain_route(SELECT) == "no routing: the session has a bind"


def test_where_there_is_little_to_choose_from(settings: Settings) -> None:
    eu = replace(settings.shard("eu"), regions=tuple(Region))
    for shard, expected in (
        (eu, "shard eu (there is one shard), replica: it only reads"),
        (
            replace(eu, replicas=()),
            "shard eu (there is one shard), primary: the shard has no replica",
        ),
    ):
        with (
            Engines(replace(settings, shards=(shard,))) as engines,
            RoutingSession(engines=engines) as session,
        ):
            assert session.explain_route(SELECT) == expected


def test_replicas_that_are_left_out_are_named(settings: Settings) -> None:
    with Engines(settings) as engines:
        (replica,) = engines.replicas("eu")
        replica.leave_out("is on fire", took=0)
        with RoutingSession(engines=engines, region="europe") as session:
            told = session.explain_route(SELECT)
            assert told.endswith("primary: all replicas are left out (eu-replica-1 is on fire)")
            session.execute(SELECT)
            told = session.explain_route(SELECT)
            assert told.endswith("primary eu-primary: the unit of work reads there")


@pytest.mark.parametrize(
    ("region", "statement", "error"),
    [
        (None, SELECT, RegionRequired),
        ("europe", SELECT.where(User.id.in_([EUROPE, ASIA])), CrossShardRead),
        ("europe", CHANGE.where(User.id.in_([EUROPE, ASIA])), CrossShardWrite),
    ],
    ids=["no-region", "reads-two", "writes-two"],
)
def test_what_cannot_be_sent(
    engines: Engines, region: str | None, statement: Any, error: type[Exception]
) -> None:
    with RoutingSession(engines=engines, region=region) as session:
        with served(engines) as nodes, pytest.raises(error):
            session.explain_route(statement)
        assert nodes == []
        assert session._work == UnitOfWork()


def test_parameters_and_options_count(engines: Engines) -> None:
    statement = select(User).where(User.id == EUROPE)
    with RoutingSession(engines=engines, region="europe") as session:
        table: Any = User.__table__
        inserted = session.explain_route(insert(table), {"id": ASIA})
        assert inserted.startswith("shard asia (an id of asia), primary: ")
        told = session.explain_route(statement, execution_options={"shard": "na"})
        assert told.startswith("shard na (execution option")
        assert session.explain_route(statement).startswith("shard eu (an id of europe), ")


async def test_other_sessions_explain_too(platform: Platform, engines: Engines) -> None:
    async with platform.session("asia") as session, platform.read_session("asia") as reader:
        with ReadSession(engines=engines, region="asia") as plain:
            told = {each.explain_route(SELECT) for each in (session, reader, plain)}
    assert told == {"shard asia (the session's region asia), replica: it only reads"}


def test_no_values_are_logged(
    engines: Engines, empty_databases: None, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "anna@example.com"
    with RoutingSession(engines=engines, region="europe") as session, notes(caplog) as logged:
        session.execute(select(User).where(User.email == secret))
        session.execute(text("SELECT :one"), {"one": secret})
        assert isinstance(session.get(User, EUROPE), User | None)
    assert len(logged) == 3
    assert secret not in "".join(logged)
    assert str(EUROPE) not in "".join(logged)
