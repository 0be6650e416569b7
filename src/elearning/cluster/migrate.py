"""Brings the shards to a revision, one after the other.

Alembic keeps its context in globals, so shards never migrate in threads.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import create_engine, pool
from sqlalchemy.exc import SQLAlchemyError

from elearning.cluster.reconcile import host_regions
from elearning.config import Settings
from elearning.errors import ElearningError

__all__ = ["Migrated", "alembic_config", "migrate"]

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Migrated:
    """What happened on one shard; ``error`` is None where all went well."""

    shard: str
    revision: str | None
    applied: int
    seconds: float
    error: str | None = None


def alembic_config(settings: Settings, shard: str | None = None) -> Config:
    """Return Alembic's configuration for these settings, for one shard or for all."""
    installed = _PACKAGE / "_alembic"
    folder = installed if installed.is_dir() else _PACKAGE.parents[1] / "alembic"
    config = Config(cmd_opts=Namespace(x=[] if shard is None else [f"shard={shard}"]))
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["settings"] = settings
    return config


def migrate(settings: Settings, revision: str = "head") -> Iterator[Migrated]:
    """Upgrade every shard and tell of each as it is done; one failure stops no other.

    The regions that each shard hosts are brought in line with the settings, too.
    """
    for shard in settings.shards:
        start = monotonic()
        reached: list[tuple[str | None, int]] = []
        config = alembic_config(settings, shard.name)
        config.attributes["report"] = _reporter(reached)
        problem = None
        try:
            command.upgrade(config, revision)
            engine = create_engine(shard.owner_url, poolclass=pool.NullPool)
            with engine.begin() as connection:
                host_regions(connection, shard)
        except (ElearningError, CommandError, SQLAlchemyError) as error:
            problem = str(getattr(error, "orig", error)).strip().splitlines()[0]
        found, applied = reached[0] if reached else (None, 0)
        yield Migrated(shard.name, found, applied, monotonic() - start, problem)


def _reporter(
    reached: list[tuple[str | None, int]],
) -> Callable[[str, str | None, list[str]], None]:
    def report(_: str, revision: str | None, applied: list[str]) -> None:
        reached.append((revision, len(applied)))

    return report
