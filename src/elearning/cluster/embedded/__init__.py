"""PostgreSQL and MongoDB servers from Python wheels, run on loopback without Docker."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elearning.cluster.embedded.cluster import EmbeddedCluster
    from elearning.cluster.embedded.ephemeral import ephemeral_cluster
    from elearning.cluster.embedded.node import EmbeddedNode
    from elearning.cluster.embedded.report import NodeStatus, UpReport
    from elearning.cluster.embedded.topology import Topology

__all__ = [
    "EmbeddedCluster",
    "EmbeddedNode",
    "NodeStatus",
    "Topology",
    "UpReport",
    "ephemeral_cluster",
]

# Imported when asked for: the guard is part of this package, and must not load the drivers.
_MODULES = {
    "EmbeddedCluster": "cluster",
    "EmbeddedNode": "node",
    "NodeStatus": "report",
    "Topology": "topology",
    "UpReport": "report",
    "ephemeral_cluster": "ephemeral",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
