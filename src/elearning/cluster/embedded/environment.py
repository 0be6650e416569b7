"""The settings that lead an application to the cluster, and the file that holds them."""

from __future__ import annotations

from elearning.cluster.embedded.credentials import APP, OWNER, READER, REPLICATOR, Credentials
from elearning.cluster.embedded.mongo import DATABASE, REPLICA_SET
from elearning.cluster.embedded.ports import LOOPBACK
from elearning.cluster.embedded.state import State
from elearning.cluster.embedded.topology import database_of

__all__ = ["FILE", "as_dotenv", "environment", "postgres_url"]

FILE = "cluster.env"


def postgres_url(role: str, password: str, port: int, database: str) -> str:
    """Return the URL of one server for one role."""
    # `postgresql://` alone is another driver in older releases of SQLAlchemy.
    return f"postgresql+psycopg://{role}:{password}@{LOOPBACK}:{port}/{database}"


def environment(state: State, credentials: Credentials) -> dict[str, str]:
    """Return the ELEARNING_ variables of a cluster that was started."""

    def url(role: str, name: str, shard: str) -> str:
        return postgres_url(role, credentials.of(role), state.ports[name], database_of(shard))

    topology = state.topology
    values = {"ELEARNING_SHARDS": " ".join(topology.shards)}
    for shard, regions in topology.shards.items():
        prefix = f"ELEARNING_SHARD_{shard.upper()}"
        primary = state.primary(shard).name
        replicas = [replica.name for replica in state.followers(state.primary(shard))]
        values[f"{prefix}_REGIONS"] = " ".join(regions)
        values[f"{prefix}_PRIMARY"] = url(APP, primary, shard)
        values[f"{prefix}_REPLICAS"] = " ".join(url(READER, name, shard) for name in replicas)
        values[f"{prefix}_OWNER"] = url(OWNER, primary, shard)
        values[f"{prefix}_REPLICATION"] = url(REPLICATOR, primary, shard)
    values["ELEARNING_EMAIL_KEYS"] = credentials.email_key
    values["ELEARNING_MONGODB_URL"] = (
        f"mongodb://{APP}:{credentials.mongodb_app}@{LOOPBACK}:{state.ports[topology.mongodb.name]}"
        f"/{DATABASE}?replicaSet={REPLICA_SET}&authSource={DATABASE}"
    )
    return values


def as_dotenv(values: dict[str, str]) -> str:
    """Return the variables as a file; no value holds a quote, so single quotes do."""
    lines = [f"{name}='{value}'" for name, value in values.items()]
    return "\n".join(["# Written by elearning up, removed by elearning down.", *lines, ""])
