"""What the cluster tells its caller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elearning.cluster.embedded.topology import Kind, Role

__all__ = ["NodeStatus", "UpReport"]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One server: where it listens, and whether its process runs.

    `role` and `follows`, the name of a replica's primary, are as the latest promotion left them.
    """

    name: str
    kind: Kind
    shard: str | None
    role: Role
    port: int
    pid: int | None
    follows: str | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there; a paused one is."""
        return self.pid is not None


@dataclass(frozen=True, slots=True)
class UpReport:
    """What one `up` did."""

    started: tuple[str, ...]
    already_running: tuple[str, ...]
    seconds: float
    data: Path
    user: str
    postgres_version: str
    mongod_version: str
