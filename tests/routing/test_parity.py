"""Code written for `Session` does not notice a `RoutingSession` over one database.

Each scenario is played by a plain `Session` on the primary, and by each of the other kinds over
a shard that hosts all regions and has one replica. What it returns or raises, what the database
holds afterwards, and the events that were heard must be the same.

Differences that are meant:

* A unit of work that reads before it writes has a connection to the replica first and one to
  the primary then; so it hears of one more beginning. With ``consistency="primary"`` even
  these events are the same.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from elearning.config import Settings
from elearning.regions import Region
from elearning.routing import Engines
from elearning.testing.databases import CleanDatabases
from tests.routing.parity import asynchronous, reading, transactions, writing
from tests.routing.parity.world import (
    OF_CONNECTIONS,
    AsyncScenario,
    Database,
    Outcome,
    Scenario,
    World,
    outcome,
)

pytestmark = pytest.mark.unmeasured


def scenarios_of(*modules: ModuleType) -> list[Any]:
    return [
        each
        for module in modules
        for each in vars(module).values()
        if getattr(each, "__module__", "") == module.__name__
        and "world" in getattr(each, "__annotations__", ())
    ]


SCENARIOS: list[Scenario] = scenarios_of(reading, writing, transactions)
ASYNC_SCENARIOS: list[AsyncScenario] = scenarios_of(asynchronous)


@pytest.fixture(scope="module")
def one_shard(settings: Settings) -> Settings:
    return replace(settings, shards=(replace(settings.shard("eu"), regions=tuple(Region)),))


@pytest.fixture(scope="module")
def engines(one_shard: Settings) -> Iterator[Engines]:
    with Engines(one_shard) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def async_engines(one_shard: Settings) -> AsyncIterator[Engines]:
    opened = Engines(one_shard, asynchronous=True)
    yield opened
    await opened.close_async()


@pytest.fixture(scope="module")
def database(settings: Settings, engines: Engines) -> Iterator[Database]:
    with Engines(settings) as every:
        cleaner = CleanDatabases(every)
        cleaner()
        cleaner.close()
    opened = Database(engines)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def expected() -> dict[Scenario, Outcome]:
    return {}


def play_plain(
    scenario: Scenario, engines: Engines, database: Database, expected: dict[Scenario, Outcome]
) -> Outcome:
    if scenario not in expected:
        world = World(engines, database.fill(), routes=False)
        result, events = outcome(scenario, world)
        expected[scenario] = Outcome(result, database.content(), events)
    return expected[scenario]


def check_same(found: Outcome, plain: Outcome, left_out: set[str]) -> None:
    assert found.result == plain.result
    assert found.content == plain.content
    assert found.without(left_out).events == plain.without(left_out).events


@pytest.mark.parametrize("consistency", ["session", "primary"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_a_routing_session_is_a_session(
    engines: Engines,
    database: Database,
    expected: dict[Scenario, Outcome],
    scenario: Scenario,
    consistency: str,
) -> None:
    plain = play_plain(scenario, engines, database, expected)
    world = World(engines, database.fill(), routes=True, consistency=consistency)
    result, events = outcome(scenario, world)
    found = Outcome(result, database.content(), events)
    check_same(found, plain, OF_CONNECTIONS if consistency == "session" else set())


@pytest.mark.parametrize("routes", [False, True], ids=["plain", "routing"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
async def test_a_session_of_asyncio_is_one_too(
    engines: Engines,
    async_engines: Engines,
    database: Database,
    expected: dict[Scenario, Outcome],
    scenario: Scenario,
    routes: bool,
) -> None:
    plain = play_plain(scenario, engines, database, expected)
    world = World(async_engines, database.fill(), routes=routes)

    def play(_: Session) -> tuple[object, list[str]]:
        return outcome(scenario, world)

    async with AsyncSession() as session:
        result, events = await session.run_sync(play)
    found = Outcome(result, database.content(), events)
    check_same(found, plain, OF_CONNECTIONS if routes else set())


@pytest.mark.parametrize("scenario", ASYNC_SCENARIOS, ids=lambda each: each.__name__)
async def test_an_async_routing_session_is_an_async_session(
    async_engines: Engines, database: Database, scenario: AsyncScenario
) -> None:
    both = []
    for routes in (False, True):
        world = World(async_engines, database.fill(), routes=routes)
        result = await scenario(world)
        both.append(Outcome(result, database.content(), world.events))
    plain, found = both
    check_same(found, plain, OF_CONNECTIONS)


def test_there_is_a_scenario_for_every_method() -> None:
    """What `Session` and `AsyncSession` offer is used by a scenario."""
    left_out = {
        "connection_callable",  # for horizontal sharding of SQLAlchemy's own; None here
        "dispatch",  # how events are found
        "sync_session_class",  # of AsyncSession: what makes AsyncRoutingSession one
        "enable_baked_queries",  # has had no effect since 2.0
        "self",
        "future",  # takes True alone
        "autocommit",  # takes False alone
    }
    for cls, modules in (
        (Session, (reading, writing, transactions)),
        (AsyncSession, (asynchronous,)),
    ):
        source = "".join(inspect.getsource(module) for module in modules)
        there = {name for name in dir(cls) if not name.startswith("_")}
        if cls is Session:
            there |= set(inspect.signature(cls).parameters)
        assert {name for name in there if name not in source} <= left_out
