"""What the tests of the tables share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import URL, Connection, make_url

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.embedded.processes import wait_until
from elearning.cluster.migrations import migrate
from elearning.config import Settings
from tests.snapshots import connect

WAIT_SECONDS = 20


def superuser(cluster: EmbeddedCluster, shard: str, database: str | None = None) -> URL:
    url = make_url(cluster.url(f"{shard}-primary", "postgres"))
    return url if database is None else url.set(database=database)


def as_superuser(settings: Settings, cluster: EmbeddedCluster) -> Settings:
    """Return settings whose sessions may do everything, and read what they wrote."""
    return replace(
        settings,
        shards=tuple(
            replace(
                shard,
                primary=superuser(cluster, shard.name, shard.primary.database),
                replicas=(),
            )
            for shard in settings.shards
        ),
    )


@contextmanager
def own_databases(
    cluster: EmbeddedCluster, settings: Settings, name: str, *shards: str, at: str | None = "head"
) -> Iterator[Settings]:
    """Make a database on some primaries, at a revision; None: it stays empty.

    Its settings name no replicas.
    """
    chosen = [shard for shard in settings.shards if shard.name in shards]
    for shard in chosen:
        with connect(superuser(cluster, shard.name)) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} OWNER elearning_owner")
    made = replace(
        settings,
        shards=tuple(
            replace(
                shard,
                primary=shard.primary.set(database=name),
                owner=shard.owner_url.set(database=name),
                replicas=(),
            )
            for shard in chosen
        ),
    )
    if at is not None:
        assert [result.error for result in migrate(made, at)] == [None] * len(chosen)
    try:
        yield made
    finally:
        for shard in chosen:
            with connect(superuser(cluster, shard.name)) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a bound."""
    assert wait_until(condition, WAIT_SECONDS)


def pid_of(connection: Connection) -> int:
    """Return which process of the server serves a connection."""
    pid: int = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    return pid


def stops_another(watch: Connection, pid: int) -> bool:
    """Tell whether a process of the server waits for a lock that this one holds."""
    # Each time anew: a transaction sees the list of processes that it saw first.
    watch.rollback()
    return bool(
        scalar(
            watch,
            "SELECT count(*) FROM pg_stat_activity WHERE %(pid)s = ANY (pg_blocking_pids(pid))",
            pid=pid,
        )
    )


def scalar(connection: Connection, statement: str, **values: Any) -> Any:
    return connection.exec_driver_sql(statement, values).scalar()
