"""The tests that pytest-alembic brings, on every shard and on the oldest server."""

from __future__ import annotations

import pytest
from alembic.config import Config
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import Engine, create_engine, pool

from elearning.cluster import migrations
from elearning.config import Settings

__all__ = [
    "test_model_definitions_match_ddl",
    "test_single_head_revision",
    "test_up_down_consistency",
    "test_upgrade",
]

pytestmark = pytest.mark.parametrize("fresh", ["na", "eu", "asia", "oldest"], indirect=True)


@pytest.fixture
def alembic_config(fresh: Settings) -> Config:
    return migrations.alembic_config(fresh)


@pytest.fixture
def alembic_engine(fresh: Settings) -> Engine:
    return create_engine(fresh.shards[0].owner_url, poolclass=pool.NullPool)
