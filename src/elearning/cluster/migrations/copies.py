"""What follows a migration of all shards: they copy the catalog from each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from alembic.config import Config
from sqlalchemy import Connection, text

from elearning.cluster.mesh import reconcile_mesh
from elearning.config import Settings
from elearning.errors import MeshError
from elearning.models.publication import PUBLICATION

__all__ = ["let_go", "reconcile_copies"]

logger = logging.getLogger("elearning.migrations")


def let_go(connection: Connection, options: Mapping[str, Any]) -> None:
    """Publish nothing from a shard whose revisions are taken back.

    A column that is published cannot be dropped. The other shards ask in vain then, until all
    are at head again and the copies are compared anew.

    Args:
        connection: to the shard.
        options: of Alembic's context; they tell what was asked for.
    """
    if options["fn"].__name__ == "downgrade":
        with connection.begin():
            connection.execute(text(f"DROP PUBLICATION IF EXISTS {PUBLICATION}"))


def reconcile_copies(config: Config, options: Mapping[str, Any]) -> None:
    """Let the shards copy from each other, after a command of Alembic has migrated some.

    Args:
        config: of the command.
        options: of the context that it ran in; they tell what was asked for.

    Raises:
        MeshError: some pair of shards has a problem.
    """
    changes = "destination_rev" in options and "purge" not in options
    if not changes or "report" in config.attributes:
        return  # nothing was run; or `migrate` was called, whose caller does it once for all
    mesh = reconcile_mesh(config.attributes.get("settings") or Settings.load())
    if mesh.skipped is not None:
        logger.warning("%s", mesh.skipped)
    for pair in mesh.pairs if mesh.changed else ():
        config.print_stdout("%s to %s: %s", pair.publisher, pair.subscriber, pair.told)
    if not mesh.ok:
        raise MeshError(problem=mesh.problem)
