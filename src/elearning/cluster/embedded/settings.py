"""The configuration files of a PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elearning.cluster.embedded.credentials import REPLICATOR
from elearning.cluster.embedded.ports import LOOPBACK
from elearning.cluster.embedded.topology import NodeSpec, Topology, database_of

__all__ = ["Following", "ServerSettings", "access_rules", "conninfo", "database_for"]

FIRST_WITH_SLOT_SYNC = 17
FIRST_WITH_ORIGINS = 18
FIRST_WITH_VACUUM_TRUNCATE = 18
SYNC_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Following:
    """What a replica follows: its primary's port, and the file with the password for it."""

    port: int
    passfile: Path
    database: str


def access_rules() -> str:
    """Return pg_hba.conf: passwords for everybody, on loopback alone."""
    return (
        "# Written by elearning at each start.\n"
        "local all all scram-sha-256\n"
        f"host all all {LOOPBACK}/32 scram-sha-256\n"
        f"host replication {REPLICATOR} {LOOPBACK}/32 scram-sha-256\n"
    )


def conninfo(following: Following, name: str) -> str:
    """Return how a replica reaches its primary; the password stays in its file."""
    return " ".join(
        f"{key}={_quoted(str(value))}"
        for key, value in (
            ("host", LOOPBACK),
            ("port", following.port),
            ("user", REPLICATOR),
            # Slot synchronization reads the catalog of a database.
            ("dbname", following.database),
            ("passfile", following.passfile),
            ("application_name", name),
        )
    )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All that the configuration of one server depends on."""

    node: NodeSpec
    topology: Topology
    port: int
    major: int
    durable: bool
    following: Following | None = None

    def text(self) -> str:
        """Return postgresql.conf."""
        values: dict[str, object] = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "cluster_name": self.node.name,
            "max_connections": 100,
            "shared_buffers": "32MB",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
            # Without DETAIL, which holds the rows that were refused.
            "log_error_verbosity": "terse",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            "wal_level": "logical",
            "max_wal_size": "512MB",
            "hot_standby_feedback": True,
            # A replica finds its primary again soon after that was restarted, and so do copies.
            "wal_retrieve_retry_interval": "200ms",
            # Consistency tokens are taken from flushed WAL: on, whatever fsync is.
            "synchronous_commit": True,
            "fsync": self.durable,
            "full_page_writes": self.durable,
            **_sizes(self.topology, self.major),
            **self._replication(),
        }
        if not self.durable:
            # In the data folder, which is thrown away; a killed server would leave it in memory.
            values["dynamic_shared_memory_type"] = "mmap"
            # Copies are told as written when the log writer has been at work; tests wait for it.
            values["wal_writer_delay"] = "10ms"
            if self.major >= FIRST_WITH_VACUUM_TRUNCATE:
                # A replica that is killed must not meet pages in the log that were cut off since.
                values["vacuum_truncate"] = False
        lines = [f"{name} = {_setting(value)}" for name, value in values.items()]
        return "\n".join(
            ["# Written by elearning at each start; ALTER SYSTEM is kept.", *lines, ""]
        )

    def _replication(self) -> dict[str, object]:
        if self.following is None:
            return {}
        values: dict[str, object] = {
            "primary_conninfo": conninfo(self.following, self.node.name),
            "primary_slot_name": self.node.slot,
        }
        if self.major >= FIRST_WITH_SLOT_SYNC:
            values["sync_replication_slots"] = True
        return values


def database_for(node: NodeSpec) -> str:
    """Return the database of a PostgreSQL node."""
    return database_of(node.shard or "")


def _sizes(topology: Topology, major: int) -> dict[str, object]:
    """Return limits that fit a full mesh of subscriptions between the shards.

    A replica needs at least its primary's; both get the same.
    """
    others = len(topology.shards) - 1
    sizes: dict[str, object] = {
        # Each replica: streaming, slot synchronization, and a base backup with its WAL.
        "max_wal_senders": 8 + 4 * topology.replicas + (1 + SYNC_WORKERS) * others,
        "max_replication_slots": 8 + topology.replicas + (1 + SYNC_WORKERS) * others,
        "max_logical_replication_workers": 4 + (1 + SYNC_WORKERS) * others,
        "max_sync_workers_per_subscription": SYNC_WORKERS,
        "max_worker_processes": 12 + (1 + SYNC_WORKERS) * others,
    }
    if major >= FIRST_WITH_ORIGINS:
        sizes["max_active_replication_origins"] = 8 + (1 + SYNC_WORKERS) * others
    return sizes


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
