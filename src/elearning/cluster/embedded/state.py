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
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{path} cannot be read: {error!r}"
            raise ClusterError(message) from error
