from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.routing import Engines
from tests.models.support import as_superuser
from tests.models.world import World, make_world


@pytest.fixture(scope="session")
def root_engines(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Engines]:
    """Engines of the superuser, whose errors are ours: nothing but a guard stops them."""
    with Engines(as_superuser(settings, cluster)) as opened:
        yield opened


@pytest.fixture(scope="module")
def world(root_engines: Engines, clean: Callable[[], None]) -> World:
    """A row in each table of eu, for all tests of a module: each undoes what it does."""
    clean()
    return make_world(root_engines)


@pytest.fixture
def root(root_engines: Engines, world: World) -> Iterator[Connection]:
    """The superuser's transaction on eu, undone after the test."""
    with root_engines.primary("eu").engine.connect() as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def app(engines: Engines, world: World) -> Iterator[Connection]:
    """The application's transaction on eu, undone after the test."""
    with engines.primary("eu").engine.connect() as connection:
        yield connection
        connection.rollback()
