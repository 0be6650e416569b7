"""Promotions and the way back, on a cluster of one shard with two replicas."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from elearning.cluster.embedded import EmbeddedCluster, failover, replication
from elearning.config import Settings
from elearning.errors import ClusterError
from elearning.testing.switches import Switches
from tests.cluster.embedded_support import execute, pids, query

P, R1, R2 = "eu-primary", "eu-replica-1", "eu-replica-2"
STATE = """
SELECT current_setting('cluster_name'), pg_is_in_recovery(),
    (SELECT sender_port FROM pg_stat_wal_receiver WHERE status = 'streaming'),
    ARRAY(SELECT slot_name || ' ' || active FROM pg_replication_slots ORDER BY slot_name)
"""
SLOTS = "SELECT slot_name, active FROM pg_replication_slots ORDER BY slot_name"


@pytest.fixture(scope="module")
def cluster(failover_cluster: EmbeddedCluster) -> EmbeddedCluster:
    execute(failover_cluster, P, "elearning_owner", "CREATE TABLE IF NOT EXISTS mark (number int)")
    execute(failover_cluster, P, "elearning_owner", "GRANT INSERT ON mark TO elearning_app")
    return failover_cluster


@pytest.fixture
def switches(cluster: EmbeddedCluster) -> Iterator[Switches]:
    """The switches; whatever the test did, all is as it was, and holds what it held."""
    execute(cluster, P, "elearning_owner", "DELETE FROM mark")
    before = state(cluster)
    with Switches(cluster) as opened:
        opened.catch_up(R1)
        opened.catch_up(R2)
        yield opened
    assert state(cluster) == before
    write(cluster, P, 1_000)
    held = seen(cluster, P)
    for replica in (R1, R2):
        Switches(cluster).catch_up(replica)
        assert seen(cluster, replica) == held


def state(cluster: EmbeddedCluster) -> list[object]:
    names = {node.port: node.name for node in cluster.status()}
    found: list[object] = []
    for node in (P, R1, R2):
        ((name, is_replica, port, slots),) = query(cluster, node, "postgres", STATE)
        found.append((name, is_replica, names.get(port), slots))
    nodes = [(node.name, node.role, node.follows, node.running) for node in cluster.status()]
    return [nodes, *found]


def roles(cluster: EmbeddedCluster) -> dict[str, tuple[str, str | None]]:
    return {node.name: (node.role, node.follows) for node in cluster.status() if node.shard}


def write(cluster: EmbeddedCluster, node: str, number: int) -> None:
    execute(cluster, node, "elearning_app", f"INSERT INTO mark VALUES ({number})")


def seen(cluster: EmbeddedCluster, node: str) -> list[int]:
    rows = query(cluster, node, "elearning_owner", "SELECT number FROM mark ORDER BY number")
    return [number for (number,) in rows]


def ask(cluster: EmbeddedCluster, node: str, statement: str) -> Any:
    return query(cluster, node, "postgres", statement)[0][0]


def test_a_promoted_replica_leads_until_the_former_primary_is_back(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    write(cluster, P, 1)
    switches.catch_up(R1)
    switches.kill(P)

    switches.promote(R1)

    assert ask(cluster, R1, "SELECT pg_is_in_recovery()") is False
    write(cluster, R1, 2)
    switches.catch_up(R2)
    assert seen(cluster, R2) == [1, 2]
    assert ask(cluster, R2, "SELECT received_tli FROM pg_stat_wal_receiver") > 1
    assert roles(cluster) == {P: ("primary", None), R1: ("primary", None), R2: ("replica", R1)}
    assert led_to(cluster) == [R1, R2]
    with pytest.raises(ClusterError, match="eu-replica-1 is no replica: nothing is replayed"):
        switches.catch_up(R1)

    switches.rejoin(P)
    switches.catch_up(P)

    assert seen(cluster, P) == [1, 2]
    assert roles(cluster)[P] == ("replica", R1)
    assert led_to(cluster) == [R1, P, R2]
    assert query(cluster, R1, "postgres", SLOTS) == [("eu_primary", True), ("eu_replica_2", True)]
    assert query(cluster, P, "postgres", SLOTS) == []
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        write(cluster, P, 3)

    switches.restore("eu")

    assert roles(cluster) == {P: ("primary", None), R1: ("replica", P), R2: ("replica", P)}
    assert led_to(cluster) == [P, R1, R2]
    assert seen(cluster, P) == [1, 2]


def led_to(cluster: EmbeddedCluster) -> list[str]:
    """Return where the settings lead: to the primary, and to replicas."""
    names = {node.port: node.name for node in cluster.status()}
    (shard,) = Settings.from_mapping(cluster.environment()).shards
    assert shard.owner_url.port == shard.primary.port
    return [names[url.port or 0] for url in (shard.primary, *shard.replicas)]


def test_paused_replicas_are_promoted_and_follow_when_they_resume(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.pause_replay(R1)
    switches.pause_replay(R2)
    write(cluster, P, 1)
    # In order, so that both have received all.
    switches.stop(P)
    assert (seen(cluster, R1), seen(cluster, R2)) == ([], [])
    switches.promote(R1)
    assert (seen(cluster, R1), seen(cluster, R2)) == ([1], [])
    with pytest.raises(ClusterError, match="cannot follow eu-replica-1: its replay is paused"):
        switches.follow(R2, R1)
    switches.resume_replay(R2)
    switches.catch_up(R2)
    assert seen(cluster, R2) == [1]


def test_a_replica_follows_over_from_a_primary_that_still_runs(
    cluster: EmbeddedCluster, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pids(cluster)[R2]
    switches.promote(R1, split_brain=True)
    with pytest.raises(ClusterError, match="eu-primary is a primary: rejoin it"):
        switches.follow(P, R1)
    with monkeypatch.context() as patch:
        patch.setattr(failover, "WAIT_SECONDS", 0)
        patch.setattr(replication, "streams", lambda *_: False)
        with pytest.raises(ClusterError, match="does not stream from eu-replica-1 after 0 s: rej"):
            switches.follow(R2, R1)
    for _ in range(2):
        switches.follow(R2, R1)
        assert pids(cluster)[R2] == before
        write(cluster, R1, 1)
        switches.catch_up(R2)
        assert seen(cluster, R2) == seen(cluster, R1)
        assert query(cluster, R1, "postgres", SLOTS) == [("eu_replica_2", True)]
    # Nothing is kept for it on the other side.
    assert "eu_replica_2" not in dict(query(cluster, P, "postgres", SLOTS))


def test_restoring_mends_a_replica_that_was_promoted_without_our_knowing(
    cluster: EmbeddedCluster, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    switches.kill(P)
    with monkeypatch.context() as patch:
        patch.setattr(failover, "WAIT_SECONDS", 0)
        with pytest.raises(ClusterError, match="eu-replica-1 was not promoted after 0 s"):
            switches.promote(R1)
    assert roles(cluster)[R1] == ("replica", P)
    switches.kill(R2)
    switches.restore("eu")
    assert ask(cluster, R1, "SELECT pg_is_in_recovery()") is True
    before = pids(cluster)
    switches.restore("eu")
    assert pids(cluster) == before


def test_roles_outlive_restarts_after_a_promotion(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.kill(P)
    switches.promote(R1)
    for node in (R2, R1):
        switches.kill(node)
        switches.restart(node)
        assert ask(cluster, R2, "SELECT status FROM pg_stat_wal_receiver") == "streaming"
    write(cluster, R1, 1)
    switches.catch_up(R2)
    assert seen(cluster, R2) == [1]
    # Unfenced: nobody has told it.
    switches.restart(P)
    assert ask(cluster, P, "SELECT pg_is_in_recovery()") is False
    write(cluster, P, 2)
    switches.catch_up(R2)
    assert seen(cluster, R2) == [1]


def test_a_split_brain_takes_writes_on_both_sides(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.promote(R1, split_brain=True)
    write(cluster, P, 1)
    write(cluster, R1, 2)
    switches.catch_up(R2)
    assert roles(cluster) == {P: ("primary", None), R1: ("primary", None), R2: ("replica", P)}
    assert [seen(cluster, node) for node in (P, R1, R2)] == [[1], [2], [1]]
    with pytest.raises(ClusterError, match="eu-replica-2 is ahead of what eu-replica-1 was prom"):
        switches.follow(R2, R1)
    assert roles(cluster)[R2] == ("replica", P)

    switches.rejoin(P)

    # Its replica had gone the same wrong way.
    assert roles(cluster)[R2] == ("replica", R1)
    for node in (P, R2):
        switches.catch_up(node)
        assert seen(cluster, node) == [2]


def test_the_other_side_of_a_split_brain_can_win(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.promote(R1, split_brain=True)
    write(cluster, P, 1)
    write(cluster, R1, 2)
    switches.rejoin(R1, P)
    assert roles(cluster) == {P: ("primary", None), R1: ("replica", P), R2: ("replica", P)}
    switches.catch_up(R1)
    assert seen(cluster, R1) == [1]
    (shard,) = Settings.from_mapping(cluster.environment()).shards
    assert len(shard.replicas) == 2


def test_a_replica_that_is_ahead_of_the_promoted_one_is_made_anew(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.stop(R1)
    write(cluster, P, 1)
    switches.catch_up(R2)
    switches.kill(P)
    switches.restart(R1)
    assert (seen(cluster, R1), seen(cluster, R2)) == ([], [1])

    switches.promote(R1)

    assert roles(cluster)[R2] == ("replica", R1)
    write(cluster, R1, 2)
    switches.catch_up(R2)
    assert seen(cluster, R2) == [2]


def test_a_replica_that_is_down_follows_when_it_starts(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.kill(R2)
    switches.kill(P)
    switches.promote(R1)
    write(cluster, R1, 1)
    switches.restart(R2)
    switches.catch_up(R2)
    assert seen(cluster, R2) == [1]


def test_a_lost_replica_is_made_anew(cluster: EmbeddedCluster, switches: Switches) -> None:
    write(cluster, P, 1)
    switches.kill(R1)
    switches.rejoin(R1)
    switches.catch_up(R1)
    assert seen(cluster, R1) == [1]
    # A running one, too.
    switches.rejoin(R1)
    assert ask(cluster, R1, "SELECT status FROM pg_stat_wal_receiver") == "streaming"


def test_rejoining_waits_for_the_slot_that_is_still_in_use(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    sender = ask(cluster, P, f"SELECT pid FROM pg_stat_replication WHERE application_name = '{R1}'")
    os.kill(sender, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(switches.rejoin, R1)
        with pytest.raises(TimeoutError):
            done.result(0.5)
        assert R1 not in pids(cluster)
        os.kill(sender, signal.SIGCONT)
    done.result()


@pytest.mark.parametrize(
    ("method", "arguments", "problem"),
    [
        ("promote", [R1], "eu-primary still runs: stop or kill it first"),
        ("promote", [P], "eu-primary is a primary already"),
        ("promote", ["mongodb"], "mongodb is no PostgreSQL node"),
        ("promote", ["eu-replica-3"], "no node 'eu-replica-3'"),
        ("follow", [R1, R2], "eu-replica-2 is no primary: eu-replica-1 cannot follow it"),
        ("follow", [R1, R1], "they are not two nodes of one shard"),
        ("follow", [R1, "mongodb"], "mongodb is no PostgreSQL node"),
        ("follow", [P, R1], "eu-replica-1 is no primary: eu-primary cannot follow it"),
        ("rejoin", [P], "they are not two nodes of one shard"),
        ("rejoin", [R1, R2], "eu-replica-2 is no primary"),
        ("rejoin", ["eu-replica-3"], "no node 'eu-replica-3'"),
        ("restore", ["na"], "no shard 'na': there are eu"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_happens(
    cluster: EmbeddedCluster, method: str, arguments: list[str], problem: str
) -> None:
    before, running = state(cluster), pids(cluster)
    with pytest.raises(ClusterError, match=problem):
        getattr(Switches(cluster), method)(*arguments)
    assert (state(cluster), pids(cluster)) == (before, running)


def test_a_node_that_is_down_or_silent_is_refused(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.kill(R1)
    with pytest.raises(ClusterError, match="eu-replica-1 is not running"):
        switches.promote(R1)
    with pytest.raises(ClusterError, match="eu-replica-1 is not running"):
        switches.follow(R1, P)
    switches.silence(R2)
    with pytest.raises(ClusterError, match="eu-replica-2 is silent: let it speak first"):
        switches.promote(R2)
    switches.kill(P)
    with pytest.raises(ClusterError, match="eu-primary is not running"):
        switches.rejoin(R1)


def test_a_silent_replica_follows_when_it_speaks(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.silence(R2)
    switches.kill(P)
    switches.promote(R1)
    write(cluster, R1, 1)
    with pytest.raises(ClusterError, match="eu-replica-2 is silent: let it speak first"):
        switches.restore("eu")
    switches.speak(R2)
    switches.catch_up(R2)
    assert seen(cluster, R2) == [1]


def test_a_silent_primary_is_passed_over_and_comes_back(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.silence(P)
    with pytest.raises(ClusterError, match="eu-primary still runs"):
        switches.promote(R1)
    switches.promote(R1, split_brain=True)
    switches.follow(R2, R1)
    write(cluster, R1, 1)
    switches.catch_up(R2)
    switches.speak(P)
    assert ask(cluster, P, "SELECT pg_is_in_recovery()") is False
    switches.rejoin(P)
    switches.catch_up(P)
    assert seen(cluster, P) == [1]


def test_a_server_that_does_not_answer_is_told(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "SUPERUSER", "elearning_app")
    with pytest.raises(ClusterError, match=r"eu-replica-1 does not answer: .* password") as caught:
        cluster.promote(R1)
    url = make_url(cluster.url(P, "elearning_app"))
    assert url.password
    assert url.password not in str(caught.value)
