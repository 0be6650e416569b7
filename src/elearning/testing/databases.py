"""A cluster for tests: real servers, started once, emptied between tests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

from psycopg.errors import DeadlockDetected
from pymongo import MongoClient
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from elearning.cluster.embedded import EmbeddedCluster, Topology, ephemeral_cluster
from elearning.cluster.embedded.processes import wait_until
from elearning.cluster.mesh import reconcile_mesh
from elearning.cluster.migrations import migrate
from elearning.config import Settings, Shard
from elearning.errors import MeshError, MigrationError
from elearning.models import Base
from elearning.routing import Engines
from elearning.routing.replay import current_position, has_replayed
from elearning.testing.copies import copies_of, log_something, wait_copied, wait_sent

__all__ = ["CleanDatabases", "migrated_cluster", "wait_copied", "wait_fit"]

_KEPT = {"hosted_regions"}
_SOON = 1.0  # seconds
_LATE = 10.0
_TRIES = 3
# Guards and foreign keys stay out of it, and what follows from a deletion is deleted, too.
_FREELY = text("SET LOCAL session_replication_role = replica")


@contextmanager
def migrated_cluster(
    *, postgres_bin: Path | None = None, topology: Topology | None = None, durable: bool = False
) -> Iterator[tuple[EmbeddedCluster, Settings]]:
    """Run a temporary cluster whose shards are at the newest revision.

    Args:
        postgres_bin: folder of PostgreSQL's binaries, in place of a search for them.
        topology: default: Topology().
        durable: whether data is forced to disk, as a measurement needs.

    Raises:
        MigrationError: a shard could not be migrated.
        MeshError: the shards do not copy from each other.
    """
    with ephemeral_cluster(
        postgres_bin=postgres_bin, topology=topology, durable=durable
    ) as cluster:
        settings = Settings.from_mapping(cluster.environment())
        for result in migrate(settings):
            if result.error is not None:
                raise MigrationError(shard=result.shard, problem=result.error)
        _reconcile(settings)
        yield cluster, settings


def _reconcile(settings: Settings) -> None:
    mesh = reconcile_mesh(settings)
    if not mesh.ok:
        raise MeshError(problem=mesh.problem)


def wait_fit(engines: Engines, max_wait: float = 10.0) -> None:
    """Wait until no node is left out, as after a test that has broken and mended one.

    Args:
        engines: whose nodes.
        max_wait: seconds.

    Raises:
        TimeoutError: one still is; the message says why.
    """
    if not wait_until(lambda: all(node.is_fit for node in engines.nodes), max_wait):
        out = ", ".join(
            f"{node.name}: {node.problem or node.lag}" for node in engines.nodes if not node.is_fit
        )
        message = f"left out after {max_wait:g} s: {out}"
        raise TimeoutError(message)


class CleanDatabases:
    """Empties all shards and MongoDB.

    Args:
        engines: synchronous engines of the cluster.
    """

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._owners = {
            shard.name: create_engine(shard.owner_url, pool_size=1, pool_pre_ping=True)
            for shard in engines.settings.shards
        }
        mongodb = engines.settings.mongodb
        self._mongo: MongoClient[dict[str, object]] = MongoClient(mongodb.url)
        self._database = self._mongo[mongodb.database]
        self._threads = ThreadPoolExecutor(len(self._owners) + 1)
        self._timelines: list[int] = []
        # DELETE: TRUNCATE makes new files for every table, and takes ten times as long.
        self._delete = text(
            "; ".join(
                f"DELETE FROM {table.name}"  # noqa: S608 - names of our own tables
                for table in reversed(Base.metadata.sorted_tables)
                if table.name not in _KEPT
            )
        )

    def __call__(self) -> None:
        """Empty everything, and wait until replicas and copies are empty too."""
        wait_fit(self._engines)
        shards = self._engines.settings.shards
        mongodb = self._threads.submit(self._clean_mongodb)
        timelines = list(self._threads.map(self._clean_shard, shards))
        mongodb.result()
        promoted = self._timelines not in ([], timelines)
        self._timelines = timelines
        # What was on its way has passed when all have sent what they had when all were empty.
        if promoted or not self._is_sent(_SOON):
            # A test has promoted a replica, or broken a subscription.
            _reconcile(self._engines.settings)
            if not self._is_sent(_LATE):
                message = f"copies of deleted courses were not gone after {_LATE:g} s"
                raise TimeoutError(message)

    def close(self) -> None:
        """Close the connections that cleaning uses."""
        self._threads.shutdown()
        for engine in self._owners.values():
            engine.dispose()
        self._mongo.close()

    def _is_sent(self, max_wait: float) -> bool:
        shards = self._engines.settings.shards
        return all(self._threads.map(self._is_shard_sent, shards, repeat(max_wait)))

    def _is_shard_sent(self, shard: Shard, max_wait: float) -> bool:
        with self._owners[shard.name].connect() as connection:
            copies = copies_of(self._engines.settings, shard.name)
            return wait_sent(connection, copies, max_wait)

    def _clean_shard(self, shard: Shard) -> int:
        """Empty a shard, and return its timeline."""
        with self._owners[shard.name].connect() as connection:
            self._delete_all(connection)
            # COMMIT flushes the log where the transaction has written to it. Where nothing was
            # deleted, the log may end in the middle of a record (of vacuuming, say), whose rest
            # reaches the replica some 15 s later.
            log_something(connection)
            connection.commit()
            position = current_position(connection)
        for replica in self._engines.replicas(shard.name):
            if not has_replayed(replica, position, max_wait=10):
                message = f"{replica.name} did not follow within 10 s"
                raise TimeoutError(message)
        return position.timeline

    def _delete_all(self, connection: Connection) -> None:
        for left in reversed(range(_TRIES)):
            try:
                connection.execute(_FREELY)
                connection.execute(self._delete)
            except OperationalError as error:
                # What other shards delete is deleted here at the same time, in another order.
                if not left or not isinstance(error.orig, DeadlockDetected):
                    raise
                connection.rollback()
            else:
                return

    def _clean_mongodb(self) -> None:
        for name in ("course_content", "user_preferences"):
            self._database[name].delete_many({})
