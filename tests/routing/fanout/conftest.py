from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from elearning.cluster.embedded import EmbeddedCluster
from elearning.regions import Region
from elearning.routing import Engines
from tests.routing.fanout.world import fill, make_rows, one_database, rate, spread


@pytest.fixture(scope="module", params=[True, False], ids=["courses-abroad", "courses-at-home"])
def world(
    request: pytest.FixtureRequest,
    cluster: EmbeddedCluster,
    engines: Engines,
    clean: Callable[[], None],
) -> Iterator[Engine]:
    """All rows on the shards, and together on the database of this engine."""
    clean()
    rows = make_rows(abroad=request.param)
    with one_database(cluster, "fan_out_one") as engine, spread(cluster, engines, rows):
        with engine.begin() as connection:
            fill(connection, rows, Region)
            rate(connection, rows)
        yield engine
    clean()
