"""What a cluster's folder remembers: its topology, its ports, and where its data is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elearning.cluster.embedded.files import write_private
from elearning.cluster.embedded.topology import NodeSpec, Topology
from elearning.errors import ClusterError

__all__ = ["STATE_FILE", "State"]

STATE_FILE = "cluster.json"
FORMAT = 1


@dataclass(slots=True)
class State:
    """The contents of cluster.json; it holds no secret."""

    topology: Topology
    account: str
    data: Path
    ports: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    #: Where promotions have led away from the topology: a shard's primary, and whom a node
    #: follows; None: nobody.
    primaries: dict[str, str] = field(default_factory=dict)
    follows: dict[str, str | None] = field(default_factory=dict)

    def primary(self, shard: str) -> NodeSpec:
        """Return the primary of a shard: by its place, or the one that was promoted last."""
        by_place = self.topology.primary(shard)
        return self.node(self.primaries.get(shard, by_place.name))

    def upstream(self, node: NodeSpec) -> NodeSpec | None:
        """Return the node that a node follows; None for a primary, a former one too."""
        if node.name in self.follows:
            name = self.follows[node.name]
            return None if name is None else self.node(name)
        if node.shard is None or node.role == "primary":
            return None
        return self.topology.primary(node.shard)

    def nodes_of(self, shard: str) -> list[NodeSpec]:
        """Return the nodes of a shard, by their places."""
        return [node for node in self.topology.nodes() if node.shard == shard]

    def followers(self, primary: NodeSpec) -> list[NodeSpec]:
        """Return the replicas of a primary."""
        return [node for node in self.topology.nodes() if self.upstream(node) == primary]

    def node(self, name: str) -> NodeSpec:
        """Return a node by its name.

        Raises:
            ClusterError: there is none.
        """
        for node in self.topology.nodes():
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.topology.nodes())
        message = f"no node {name!r}: there are {known}"
        raise ClusterError(message)

    def folder_of(self, node: NodeSpec) -> Path:
        """Return the folder of one server: its data, its log, its keys."""
        return self.data / node.name

    def save(self, folder: Path) -> None:
        """Write the state, whole or not at all."""
        values = {
            "format": FORMAT,
            "shards": self.topology.shards,
            "replicas": self.topology.replicas,
            "account": self.account,
            "data": str(self.data),
            "ports": self.ports,
            "versions": self.versions,
            "primaries": self.primaries,
            "follows": self.follows,
        }
        write_private(folder / STATE_FILE, json.dumps(values, indent=1))

    @classmethod
    def load(cls, folder: Path) -> State | None:
        """Read the state, or None where no cluster was started.

        Raises:
            ClusterError: the file cannot be read.
        """
        path = folder / STATE_FILE
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                message = f"{path} is of another version of elearning (format {values['format']})"
                raise ClusterError(message)
            return cls(
                topology=Topology(shards=values["shards"], replicas=values["replicas"]),
                account=values["account"],
                data=Path(values["data"]),
                ports=values["ports"],
                versions=values["versions"],
                primaries=values.get("primaries", {}),
                follows=values.get("follows", {}),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{path} cannot be read: {error!r}"
            raise ClusterError(message) from error
