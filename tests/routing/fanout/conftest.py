from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.regions import Region
from tests.routing.fanout.world import fill, make_rows, one_database, spread


@pytest.fixture(scope="module", params=[True, False], ids=["copied-catalog", "catalog-at-home"])
def world(
    request: pytest.FixtureRequest,
    cluster: EmbeddedCluster,
    settings: Settings,
    clean: Callable[[], None],
) -> Iterator[Engine]:
    """All rows on the shards, and together on the database of this engine."""
    clean()
    copied = request.param
    rows = make_rows(copied=copied)
    with (
        one_database(cluster, "fan_out_one") as engine,
        spread(cluster, settings, rows, copied=copied),
    ):
        with engine.begin() as connection:
            fill(connection, rows, Region, copied=copied)
        yield engine
