"""Runs a command of Alembic on every shard, one after the other.

``-x shard=eu`` or ``-x region=africa`` picks one. Settings come from the environment,
`.env` or the running embedded cluster.
"""

from __future__ import annotations

from logging.config import fileConfig

from alembic import context

from elearning.cluster.migrations.environment import run

config = context.config
if config.config_file_name is not None and "settings" not in config.attributes:
    # On the command line only, and without silencing an application's loggers.
    fileConfig(config.config_file_name, disable_existing_loggers=False)

run()
