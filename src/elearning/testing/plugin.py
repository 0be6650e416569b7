"""Fixtures for pytest: real databases, emptied before each test that asks for them.

Enable them with ``pytest_plugins = ["elearning.testing.plugin"]`` in the topmost
``conftest.py``; the extra ``testing`` brings what they need. The asynchronous
ones need pytest-asyncio with ``asyncio_default_fixture_loop_scope = "session"`` and
``asyncio_default_test_loop_scope = "session"``: clients are bound to their loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

# Imported late: what a plugin imports early is hidden from coverage.
if TYPE_CHECKING:
    from elearning.cluster.embedded import EmbeddedCluster
    from elearning.config import Settings
    from elearning.flows import Platform
    from elearning.routing import Engines, RoutingSession
    from elearning.testing.proxies import Proxies
    from elearning.testing.switches import Switches

__all__ = [
    "clean",
    "cluster",
    "empty_databases",
    "engines",
    "failover_cluster",
    "failover_switches",
    "open_platform",
    "platform",
    "proxies",
    "session",
    "settings",
    "switches",
]


@pytest.fixture(scope="session")
def _migrated() -> Iterator[tuple[EmbeddedCluster, Settings]]:
    from elearning.testing.databases import migrated_cluster

    with migrated_cluster() as both:
        yield both


@pytest.fixture(scope="session")
def cluster(_migrated: tuple[EmbeddedCluster, Settings]) -> EmbeddedCluster:
    """Return the running cluster, shared by all tests."""
    return _migrated[0]


@pytest.fixture(scope="session")
def settings(_migrated: tuple[EmbeddedCluster, Settings]) -> Settings:
    """Return the settings that lead to the cluster."""
    return _migrated[1]


@pytest.fixture(scope="session")
def engines(settings: Settings) -> Iterator[Engines]:
    """Return synchronous engines for all nodes."""
    from elearning.routing import Engines

    with Engines(settings) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session")
async def open_platform(settings: Settings) -> AsyncIterator[Platform]:
    """Return the platform, shared by all tests; ask for ``platform`` instead."""
    from elearning.flows import Platform

    async with Platform(settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def clean(engines: Engines) -> Iterator[Callable[[], None]]:
    """Return a function that empties all databases."""
    from elearning.testing.databases import CleanDatabases

    cleaner = CleanDatabases(engines)
    yield cleaner
    cleaner.close()


@pytest.fixture
def empty_databases(clean: Callable[[], None]) -> None:
    """Empty all databases before the test."""
    clean()


@pytest_asyncio.fixture(loop_scope="session")
async def platform(open_platform: Platform, empty_databases: None) -> Platform:  # noqa: ARG001
    """Return the platform over empty databases."""
    from pymongo.errors import PyMongoError

    from elearning.errors import NodeUnavailable
    from elearning.testing.databases import wait_fit

    wait_fit(open_platform.engines)
    # Where a test has killed MongoDB, the driver learns it when the loop runs again, and cancels
    # what it is sending then.
    for left in (2, 1, 0):
        try:
            await open_platform.documents.client.admin.command("ping")
            if not open_platform.documents.is_bound:
                # A test has opened a platform of its own.
                await open_platform.documents.open()
            break
        except (PyMongoError, NodeUnavailable):
            if not left:
                raise
    return open_platform


@pytest.fixture
def session(engines: Engines, empty_databases: None) -> Iterator[RoutingSession]:  # noqa: ARG001
    """Return a session of the region europe over empty databases."""
    from elearning.routing import RoutingSession

    with RoutingSession(engines=engines, region="europe") as opened:
        yield opened


@pytest.fixture
def switches(cluster: EmbeddedCluster) -> Iterator[Switches]:
    """Return the switches of the shared cluster; what a test breaks is mended at its end."""
    from elearning.testing.switches import Switches

    with Switches(cluster) as opened:
        yield opened


@pytest.fixture
def proxies(settings: Settings) -> Iterator[Proxies]:
    """Return a proxy before each PostgreSQL node of the shared cluster.

    ``Engines(proxies.settings)`` go through them; ``engines`` and ``platform`` do not.
    """
    from elearning.testing.proxies import Proxies

    with Proxies(settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def failover_cluster() -> Iterator[EmbeddedCluster]:
    """Return a cluster for promotions: one shard, eu, with all regions and two replicas.

    Started by the first test that asks for it. Change it by ``failover_switches``, which give
    it back to the next test as it was.
    """
    from elearning.cluster.embedded import Topology
    from elearning.regions import Region
    from elearning.testing.databases import migrated_cluster

    topology = Topology(shards={"eu": tuple(Region)}, replicas=2)
    with migrated_cluster(topology=topology) as (cluster, _):
        yield cluster


@pytest.fixture
def failover_switches(failover_cluster: EmbeddedCluster) -> Iterator[Switches]:
    """Return the switches of ``failover_cluster``, which is restored after the test.

    ``Settings.from_mapping(failover_cluster.environment())`` lead to its present primary.
    """
    from elearning.testing.switches import Switches

    with Switches(failover_cluster) as opened:
        yield opened
