"""What runs: shards, their nodes, and the names of both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from elearning.errors import ClusterError

NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
MOST_REPLICAS = 8
MONGODB = "mongodb"

Kind = Literal["postgresql", "mongodb"]
Role = Literal["primary", "replica"]


def _six_regions() -> dict[str, Sequence[str]]:
    return {
        "na": ("north_america", "south_america"),
        "eu": ("europe", "africa"),
        "asia": ("asia", "oceania"),
    }


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One server of the topology, by its place in it."""

    name: str
    kind: Kind
    shard: str | None
    role: Role

    @property
    def slot(self) -> str:
        """Name of the replication slot of a replica; it carries the shard's name.

        The primaries are clones of one initdb and share a system identifier, so the slot is
        what keeps a replica from following the primary of another shard.
        """
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Topology:
    """The shards with their regions, and how many replicas each primary has."""

    shards: Mapping[str, Sequence[str]] = field(default_factory=_six_regions)
    replicas: int = 1

    def __post_init__(self) -> None:
        """Refuse names that could not be a part of an identifier, and copy the mapping."""
        shards = {shard: tuple(regions) for shard, regions in self.shards.items()}
        regions = [region for hosted in shards.values() for region in hosted]
        for name in (*shards, *regions):
            if not NAME.fullmatch(name):
                message = f"{name!r} is no name for a shard or region: lower case, digits and _"
                raise ClusterError(message)
        if not shards:
            message = "a topology needs at least one shard"
            raise ClusterError(message)
        if len(set(regions)) != len(regions):
            message = "a region can be hosted by one shard only"
            raise ClusterError(message)
        if not 0 <= self.replicas <= MOST_REPLICAS:
            message = f"the number of replicas is from 0 to {MOST_REPLICAS}, not {self.replicas}"
            raise ClusterError(message)
        object.__setattr__(self, "shards", shards)

    def nodes(self) -> tuple[NodeSpec, ...]:
        """Every server: each shard's primary and replicas, then MongoDB."""
        found: list[NodeSpec] = []
        for shard in self.shards:
            found.append(self.primary(shard))
            found.extend(self.replicas_of(shard))
        return (*found, self.mongodb)

    def primary(self, shard: str) -> NodeSpec:
        """Return the primary of a shard."""
        return NodeSpec(f"{shard}-primary", "postgresql", shard, "primary")

    def replicas_of(self, shard: str) -> tuple[NodeSpec, ...]:
        """Return the replicas of a shard."""
        return tuple(
            NodeSpec(f"{shard}-replica-{number}", "postgresql", shard, "replica")
            for number in range(1, self.replicas + 1)
        )

    @property
    def mongodb(self) -> NodeSpec:
        """The one MongoDB server."""
        return NodeSpec(MONGODB, "mongodb", None, "primary")


def database_of(shard: str) -> str:
    """Return the name of a shard's database."""
    return f"elearning_{shard}"
