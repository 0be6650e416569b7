"""What a session remembers until its transaction ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection

from elearning.routing.commits import Committing
from elearning.routing.node import Node

__all__ = ["UnitOfWork"]


@dataclass(slots=True)
class UnitOfWork:
    """Which nodes a unit of work uses."""

    written: str | None = None
    """The shard that it writes on."""
    primaries: dict[str, Connection | None] = field(default_factory=dict)
    """The shards whose primary it is on, and the connection once there is one."""
    drivers: dict[str, Committing] = field(default_factory=dict)
    """Psycopg's connections to those: what became of a COMMIT, they know."""
    readers: dict[str, Node] = field(default_factory=dict)
    """The node that it reads, by shard: one for all its reads, or they could go back in time."""
    reading: str | None = None
    """The shard whose replica's connection it holds."""
    seen: set[str] = field(default_factory=set)
    """The shards that it has read something of."""
    failed: set[Node] = field(default_factory=set)
    """Replicas that failed it."""
    streams: set[str] = field(default_factory=set)
    """The shards where a cursor of the server's may be open."""
