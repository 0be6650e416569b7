"""The catalog on every shard: publications, subscriptions, and what keeps them right."""

from elearning.cluster.mesh.reconcile import reconcile_mesh
from elearning.cluster.mesh.report import MeshReport, PairResult

__all__ = ["MeshReport", "PairResult", "reconcile_mesh"]
