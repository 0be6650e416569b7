"""The switches of the test kit: on the shared cluster, which each test leaves as it was."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from time import monotonic
from typing import Any

import psycopg
import pytest

from elearning.cluster.embedded import EmbeddedCluster, processes
from elearning.errors import ClusterError, ServerStartError
from elearning.testing.switches import Switches
from tests.cluster.embedded_support import connect, execute, pids, query

PRIMARY, REPLICA = "eu-primary", "eu-replica-1"


@pytest.fixture(scope="module", autouse=True)
def _as_it_was(cluster: EmbeddedCluster) -> Iterator[None]:
    before = state(cluster)
    execute(cluster, PRIMARY, "elearning_owner", "CREATE TABLE mark (number int)")
    yield
    execute(cluster, PRIMARY, "elearning_owner", "DROP TABLE mark")
    assert state(cluster) == before


@pytest.fixture(autouse=True)
def _empty(cluster: EmbeddedCluster, _as_it_was: None) -> None:
    execute(cluster, PRIMARY, "elearning_owner", "DELETE FROM mark")
    Switches(cluster).catch_up(REPLICA)


def state(cluster: EmbeddedCluster) -> list[object]:
    ports = [(node.name, node.role, node.port, node.running) for node in cluster.status()]
    slots = "SELECT slot_name, active FROM pg_replication_slots ORDER BY slot_name"
    paused = "SELECT pg_get_wal_replay_pause_state(), pg_is_in_recovery()"
    return [ports, query(cluster, PRIMARY, "postgres", slots), ask(cluster, REPLICA, paused)]


def ask(cluster: EmbeddedCluster, node: str, statement: str) -> Any:
    return query(cluster, node, "postgres", statement)[0]


def write(cluster: EmbeddedCluster, number: int = 1) -> None:
    execute(cluster, PRIMARY, "elearning_owner", f"INSERT INTO mark VALUES ({number})")


def seen(cluster: EmbeddedCluster, node: str = REPLICA) -> int:
    found: int = ask(cluster, node, "SELECT count(*) FROM mark")[0]
    return found


def test_a_paused_replica_shows_nothing_new_until_it_replays_again(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.pause_replay(REPLICA)
    write(cluster)
    # It has received the row, and would show it within some milliseconds.
    received = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
    until(lambda: ask(cluster, REPLICA, received) == (True,))
    assert seen(cluster) == 0

    switches.resume_replay(REPLICA)
    switches.catch_up(REPLICA)

    assert seen(cluster) == 1


def until(condition: Any) -> None:
    end = monotonic() + 10
    while not condition():
        assert monotonic() < end


def test_pausing_and_resuming_twice_is_the_same_as_once(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    statement = "SELECT pg_get_wal_replay_pause_state()"
    switches.resume_replay(REPLICA)
    for _ in range(2):
        switches.pause_replay(REPLICA)
        assert ask(cluster, REPLICA, statement) == ("paused",)
    for _ in range(2):
        switches.resume_replay(REPLICA)
        assert ask(cluster, REPLICA, statement) == ("not paused",)


def test_catching_up_sees_each_of_many_commits(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    for number in range(1, 31):
        write(cluster)
        switches.catch_up(REPLICA)
        assert seen(cluster) == number


def test_a_killed_replica_comes_back_and_streams(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    before = pids(cluster)[REPLICA]
    switches.kill(REPLICA)
    assert REPLICA not in pids(cluster)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(cluster, REPLICA, "elearning_reader")
    write(cluster)

    switches.restart(REPLICA)

    assert pids(cluster)[REPLICA] != before
    assert ask(cluster, REPLICA, "SELECT status FROM pg_stat_wal_receiver") == ("streaming",)
    switches.catch_up(REPLICA)
    assert seen(cluster) == 1


def test_a_restarted_primary_has_its_replica_again(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    write(cluster)
    switches.kill(PRIMARY)
    switches.restart(PRIMARY)
    receiver = "SELECT status, sender_port FROM pg_stat_wal_receiver"
    port = {node.name: node.port for node in cluster.status()}[PRIMARY]
    assert ask(cluster, REPLICA, receiver) == ("streaming", port)
    write(cluster)
    switches.catch_up(REPLICA)
    assert seen(cluster) == 2


def test_a_silent_node_hangs_and_goes_on(cluster: EmbeddedCluster, switches: Switches) -> None:
    with connect(cluster, PRIMARY, "elearning_app") as connection:
        connection.pgconn.send_query(b"SELECT 1")
        connection.pgconn.get_result()
        connection.pgconn.get_result()

        switches.silence(PRIMARY)

        connection.pgconn.send_query(b"SELECT 2")
        assert not answers(connection, 0.2)
        switches.speak(PRIMARY)
        assert answers(connection, 5)
        result = connection.pgconn.get_result()
        assert result
        assert result.get_value(0, 0) == b"2"
        connection.pgconn.get_result()


def answers(connection: psycopg.Connection[Any], seconds: float) -> bool:
    found, _, _ = select.select([connection.fileno()], [], [], seconds)
    return bool(found)


@pytest.mark.parametrize("node", [PRIMARY, REPLICA, "mongodb"])
def test_at_the_end_all_is_as_it_was(cluster: EmbeddedCluster, node: str) -> None:
    before = state(cluster)
    with Switches(cluster) as switches:
        if node == REPLICA:
            switches.pause_replay(node)
        switches.silence(node)
    assert state(cluster) == before
    with Switches(cluster) as switches:
        switches.kill(node)
        assert node not in pids(cluster)
    assert state(cluster) == before
    write(cluster)
    with Switches(cluster) as switches:
        switches.catch_up(REPLICA)
    assert seen(cluster) == 1


def test_paused_and_silenced_for_a_block(cluster: EmbeddedCluster, switches: Switches) -> None:
    with switches.replay_paused(REPLICA):
        write(cluster)
        with pytest.raises(ClusterError, match="cannot catch up: its replay is paused"):
            switches.catch_up(REPLICA)
        assert seen(cluster) == 0
    with switches.silenced(REPLICA), pytest.raises(ClusterError, match="silent: let it speak"):
        switches.catch_up(REPLICA)
    switches.catch_up(REPLICA)
    assert seen(cluster) == 1


def test_a_node_may_be_killed_while_it_is_paused_or_silenced(switches: Switches) -> None:
    with switches.replay_paused(REPLICA):
        switches.kill(REPLICA)
    switches.restart(REPLICA)
    with switches.silenced(REPLICA):
        switches.kill(REPLICA)
    switches.restart(REPLICA)
    switches.catch_up(REPLICA)


@pytest.mark.parametrize("node", [PRIMARY, "mongodb"])
@pytest.mark.parametrize("method", ["pause_replay", "resume_replay", "catch_up"])
def test_only_a_replica_replays(switches: Switches, method: str, node: str) -> None:
    with pytest.raises(ClusterError, match=f"{node} is no replica"):
        getattr(switches, method)(node)


@pytest.mark.parametrize(
    "method",
    ["pause_replay", "resume_replay", "catch_up", "stop", "kill", "restart", "silence", "speak"],
)
def test_an_unknown_node_is_refused(
    cluster: EmbeddedCluster, switches: Switches, method: str
) -> None:
    before = pids(cluster)
    with pytest.raises(ClusterError, match="no node 'eu-replica-9': there are na-primary"):
        getattr(switches, method)("eu-replica-9")
    assert pids(cluster) == before


def test_what_was_broken_before_stays_broken(cluster: EmbeddedCluster, switches: Switches) -> None:
    switches.kill("mongodb")
    switches.pause_replay(REPLICA)
    with Switches(cluster) as inner:
        inner.kill("mongodb")
        inner.stop("mongodb")
        inner.pause_replay(REPLICA)
        inner.kill(PRIMARY)
    assert PRIMARY in pids(cluster)
    assert "mongodb" not in pids(cluster)
    assert ask(cluster, REPLICA, "SELECT pg_is_wal_replay_paused()") == (True,)


def test_an_end_mends_what_it_can_and_tells_the_rest(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    switches = Switches(cluster)
    switches.pause_replay(REPLICA)
    switches.stop("mongodb")
    started = cluster.node("mongodb")

    def fail() -> None:
        message = "not today"
        raise ServerStartError(message)

    node = cluster.node
    monkeypatch.setattr(started, "start", fail)
    monkeypatch.setattr(cluster, "node", lambda name: started if name == "mongodb" else node(name))
    with pytest.raises(ClusterError, match=r"not as it was:\n  mongodb: not today$"), switches:
        pass
    assert ask(cluster, REPLICA, "SELECT pg_is_wal_replay_paused()") == (False,)
    monkeypatch.undo()
    switches.put_back()
    assert "mongodb" in pids(cluster)


def test_a_failing_test_is_told_although_the_end_succeeds(cluster: EmbeddedCluster) -> None:
    with pytest.raises(ZeroDivisionError), Switches(cluster) as switches:  # noqa: PT012
        switches.kill(REPLICA)
        _ = 1 / 0
    assert REPLICA in pids(cluster)


def test_a_node_that_is_down_is_refused_at_once(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.kill(REPLICA)
    for method in (switches.silence, switches.speak):
        with pytest.raises(ClusterError, match="eu-replica-1 is not running"):
            method(REPLICA)
    for method in (switches.pause_replay, switches.resume_replay, switches.catch_up):
        # On a busy machine a child of the killed server may still hold the port for a moment.
        told = r"eu-replica-1 does not answer: .* (refused|closed the connection unexpectedly)"
        with pytest.raises(ClusterError, match=told):
            method(REPLICA)


def test_a_replica_of_a_silent_or_dead_primary(
    cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.silence(PRIMARY)
    before = pids(cluster)
    with pytest.raises(ClusterError, match="would not stream: eu-primary is silent"):
        switches.restart(REPLICA)
    assert pids(cluster) == before
    switches.kill(PRIMARY)
    switches.restart(REPLICA)
    assert seen(cluster) == 0
    with pytest.raises(ClusterError, match="eu-primary does not answer"):
        switches.catch_up(REPLICA)


def test_replay_that_does_not_stop_is_told(cluster: EmbeddedCluster, switches: Switches) -> None:
    (replays,) = [
        pid
        for pid in processes.tree(pids(cluster)[REPLICA])
        if "startup recovering" in processes.command_line(pid)
    ]
    os.kill(replays, signal.SIGSTOP)
    try:
        with pytest.raises(ClusterError, match=r"did not reach the state 'paused' after 0\.1 s"):
            Switches(cluster, max_wait=0.1).pause_replay(REPLICA)
    finally:
        os.kill(replays, signal.SIGCONT)
    switches.resume_replay(REPLICA)
    switches.catch_up(REPLICA)


def test_waiting_is_bounded(cluster: EmbeddedCluster, switches: Switches) -> None:
    impatient = Switches(cluster, max_wait=0.1)
    # A conflict: replay waits for this query, which has seen the row.
    execute(cluster, REPLICA, "postgres", "ALTER SYSTEM SET max_standby_streaming_delay = -1")
    execute(cluster, REPLICA, "postgres", "SELECT pg_reload_conf()")
    try:
        with connect(cluster, REPLICA, "elearning_owner") as reader:
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT FROM mark")
            execute(cluster, PRIMARY, "elearning_owner", "ALTER TABLE mark ADD COLUMN more int")
            with pytest.raises(ClusterError, match=r"has not replayed \S+ after 0\.1 s"):
                impatient.catch_up(REPLICA)
    finally:
        execute(cluster, REPLICA, "postgres", "ALTER SYSTEM RESET max_standby_streaming_delay")
        execute(cluster, REPLICA, "postgres", "SELECT pg_reload_conf()")
        execute(cluster, PRIMARY, "elearning_owner", "ALTER TABLE mark DROP COLUMN more")
    switches.catch_up(REPLICA)
