"""Migrations: one history of revisions, and every shard brought to it."""

from elearning.cluster.migrations.drift import Drift, check_drift
from elearning.cluster.migrations.run import Migrated, alembic_config, migrate

__all__ = ["Drift", "Migrated", "alembic_config", "check_drift", "migrate"]
