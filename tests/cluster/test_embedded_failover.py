"""What a folder remembers of promotions, and that none keeps a server from being ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elearning.cluster.embedded import EmbeddedCluster, Topology, ephemeral_cluster, processes
from elearning.cluster.embedded.state import State
from elearning.errors import ClusterError
from tests.cluster.embedded_support import all_gone, execute, pids, query, until_equal

SMALL = Topology(shards={"eu": ("europe",)}, replicas=1)
PRIMARY, REPLICA = "eu-primary", "eu-replica-1"


def roles(cluster: EmbeddedCluster) -> list[tuple[str, str | None]]:
    return [(node.role, node.follows) for node in cluster.status() if node.shard]


def test_promotions_outlive_down_and_up_and_end_with_the_cluster() -> None:
    with ephemeral_cluster(topology=SMALL) as cluster:
        folder, everyone = cluster.folder, set(pids(cluster).values())
        cluster.promote(REPLICA, split_brain=True)
        assert roles(cluster) == [("primary", None), ("primary", None)]
        execute(cluster, REPLICA, "elearning_owner", "CREATE TABLE kept AS SELECT 1 AS id")
        assert set(cluster.down()) == {PRIMARY, REPLICA, "mongodb"}
        assert not any(processes.find_process(pid) for pid in everyone)

        again = EmbeddedCluster(folder, durable=False)
        again.up()

        assert roles(again) == [("primary", None), ("primary", None)]
        recovers = "SELECT pg_is_in_recovery()"
        assert [query(again, node, "postgres", recovers) for node in (PRIMARY, REPLICA)] == [
            [(False,)],
            [(False,)],
        ]
        port = {node.name: node.port for node in again.status()}[REPLICA]
        assert f":{port}/" in again.environment()["ELEARNING_SHARD_EU_PRIMARY"]
        assert f":{port}/" in again.env_file.read_text()
        assert again.environment()["ELEARNING_SHARD_EU_REPLICAS"] == ""

        again.rejoin(PRIMARY)
        again.node(PRIMARY).stop()
        again.node(REPLICA).stop()
        assert set(again.up().started) == {PRIMARY, REPLICA}
        assert roles(again) == [("replica", REPLICA), ("primary", None)]
        until_equal(again, PRIMARY, "SELECT id FROM kept", 1)

        again.promote(PRIMARY, split_brain=True)
        everyone = set(pids(again).values())
        assert len(everyone) == 3
    assert all_gone([*everyone], folder)


def test_restoring_starts_the_promoted_primary_first() -> None:
    with ephemeral_cluster(topology=SMALL) as cluster:
        cluster.node(PRIMARY).kill()
        cluster.promote(REPLICA)
        execute(cluster, REPLICA, "elearning_owner", "CREATE TABLE kept AS SELECT 1 AS id")
        cluster.node(REPLICA).kill()

        cluster.restore("eu")

        assert roles(cluster) == [("primary", None), ("replica", PRIMARY)]
        until_equal(cluster, REPLICA, "SELECT id FROM kept", 1)
        state = State.load(cluster.folder)
        assert state
        assert (state.primaries, state.follows) == ({}, {})
        cluster.remove()
        assert not cluster.folder.exists()


def test_a_folder_of_before_there_were_promotions_is_read(tmp_path: Path) -> None:
    state = State(SMALL, "nobody", tmp_path / "data", {PRIMARY: 1, REPLICA: 2})
    state.save(tmp_path)
    path = tmp_path / "cluster.json"
    values = json.loads(path.read_text())
    del values["primaries"], values["follows"]
    path.write_text(json.dumps(values))
    read = State.load(tmp_path)
    assert read
    primary = read.primary("eu")
    assert primary.name == PRIMARY
    assert [node.name for node in read.followers(primary)] == [REPLICA]
    assert read.upstream(read.node("mongodb")) is None


def test_without_a_cluster_nothing_is_promoted(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(tmp_path / "none")
    with pytest.raises(ClusterError, match="no cluster was started in"):
        cluster.promote(REPLICA)
    assert not (tmp_path / "none").exists()
