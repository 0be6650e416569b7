"""Migrating many shards by the command line, in one process and in two."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from rich.table import Table
from sqlalchemy import make_url

from benchmarks.courses import connect
from benchmarks.timing import measure, ratios
from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings, Shard
from elearning.regions import Region

ROUNDS = 3
MANY = 12

_STATE = "SELECT version_num, (SELECT count(*) FROM hosted_regions) FROM alembic_version"


def many_shards(cluster: EmbeddedCluster, settings: Settings) -> Table:
    """Migrate an empty database, and 12 of them on three servers."""
    servers = settings.shards
    with connect(servers[0].owner_url) as connection:
        (head, _) = connection.execute(_STATE).fetchone() or ("", 0)
    many = [_shard(servers, number, tuple(Region)[number : number + 1]) for number in range(MANY)]
    one = [_shard(servers, 0, tuple(Region))]
    contenders = {
        "one shard": (one, ()),
        f"{MANY} shards, --jobs 2": (many, ("--jobs", "2")),
        f"{MANY} shards, --jobs 1": (many, ("--jobs", "1")),
    }

    def in_all(name: str, statement: str) -> None:
        for number, shard in enumerate(contenders[name][0]):
            server = cluster.url(f"{servers[number % len(servers)].name}-primary", "postgres")
            with connect(make_url(server)) as connection:
                connection.execute(statement.format(shard.primary.database).encode())

    def prepare(name: str) -> None:
        in_all(name, "CREATE DATABASE {} OWNER elearning_owner")
        # No migration is to wait for what this has left to be written.
        in_all(name, "CHECKPOINT")

    def check_and_drop(name: str) -> None:
        for shard in contenders[name][0]:
            with connect(shard.primary) as connection:
                found = connection.execute(_STATE).fetchone()
            assert found == (head, len(shard.regions)), f"{shard.name}: {found}"
        in_all(name, "DROP DATABASE {} WITH (FORCE)")

    times = measure(
        {
            name: partial(_migrate, _environment(shards, settings), words)
            for name, (shards, words) in contenders.items()
        },
        ROUNDS,
        before=prepare,
        after=check_and_drop,
    )
    return ratios("elearning migrate, from empty", [times], {list(times)[1]: "<= 8"})


def _shard(servers: Sequence[Shard], number: int, regions: tuple[Region, ...]) -> Shard:
    """Return a shard of this number, its database on one of the servers in turn."""
    server = servers[number % len(servers)].owner_url
    return Shard(f"s{number}", regions, server.set(database=f"migrated_{number}"))


def _environment(shards: Sequence[Shard], settings: Settings) -> dict[str, str]:
    values = {
        "ELEARNING_SHARDS": " ".join(shard.name for shard in shards),
        "ELEARNING_MONGODB_URL": settings.mongodb.url,
    }
    for shard in shards:
        prefix = f"ELEARNING_SHARD_{shard.name.upper()}_"
        values[prefix + "REGIONS"] = " ".join(shard.regions)
        values[prefix + "PRIMARY"] = shard.primary.render_as_string(hide_password=False)
    return values


def _migrate(environment: dict[str, str], words: Sequence[str]) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ELEARNING")}
    done = subprocess.run(
        [sys.executable, "-c", "from elearning.cli import main; main()", "migrate", *words],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
