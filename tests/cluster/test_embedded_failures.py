"""What happens when servers fail, are paused or cannot start: on real servers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import socketserver
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dotenv import dotenv_values

from elearning.cluster.embedded import EmbeddedCluster, processes
from elearning.cluster.embedded.binaries import find_mongodb
from elearning.errors import BinaryNotFound, ServerStartError
from tests.cluster.embedded_support import (
    ALL,
    WAIT_SECONDS,
    connect,
    content,
    execute,
    passwords,
    pids,
    query,
    until_equal,
)


def test_a_killed_replica_is_noticed_and_up_starts_only_that(embedded: EmbeddedCluster) -> None:
    before = pids(embedded)
    os.kill(before["eu-replica-1"], signal.SIGKILL)
    assert processes.wait_gone([before["eu-replica-1"]], WAIT_SECONDS)

    assert {node.name for node in embedded.status() if not node.running} == {"eu-replica-1"}

    report = embedded.up()

    assert report.started == ("eu-replica-1",)
    after = pids(embedded)
    assert after.pop("eu-replica-1") != before.pop("eu-replica-1")
    assert after == before


def test_a_killed_primary_comes_back_with_what_was_committed(embedded: EmbeddedCluster) -> None:
    execute(embedded, "asia-primary", "elearning_owner", "CREATE TABLE crashed (id int)")
    execute(embedded, "asia-primary", "elearning_owner", "INSERT INTO crashed VALUES (1), (2)")
    # The postmaster alone, as the system's out-of-memory killer would: its children linger.
    os.kill(pids(embedded)["asia-primary"], signal.SIGKILL)

    report = embedded.up()

    assert report.started == ("asia-primary",)
    assert query(embedded, "asia-primary", "elearning_owner", "SELECT count(*) FROM crashed") == [
        (2,)
    ]
    until_equal(embedded, "asia-replica-1", "SELECT count(*) FROM crashed", 2)


@pytest.mark.parametrize(
    ("name", "pid_file"), [("na-replica-1", "postmaster.pid"), ("mongodb", "mongod.lock")]
)
def test_a_stale_pid_file_whose_pid_is_another_process_fools_nobody(
    embedded: EmbeddedCluster, name: str, pid_file: str
) -> None:
    path = embedded.folder / "data" / name / "data" / pid_file
    node = embedded.node(name)
    node.kill()
    owner = path.stat()
    # Of the servers' own user: PostgreSQL itself takes its pid for a running server's.
    sleep = [str(shutil.which("sleep")), "60"]
    switch: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    with subprocess.Popen(sleep, **(switch if os.geteuid() == 0 else {})) as stranger:
        lines = path.read_text().splitlines()
        path.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))

        assert {status.name for status in embedded.status() if not status.running} == {name}
        assert embedded.up().started == (name,)

        assert stranger.poll() is None
        stranger.kill()
    assert set(pids(embedded)) == ALL


class Taker(socketserver.TCPServer):
    """Another program on a port: it takes connections, and closes them."""

    allow_reuse_address = True


@contextmanager
def taken(port: int) -> Iterator[None]:
    with Taker(("127.0.0.1", port), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_taken_port_is_replaced_wherever_it_is_named(embedded: EmbeddedCluster) -> None:
    ports = {node.name: node.port for node in embedded.status()}
    lines: list[str] = []
    for name in ("eu-primary", "mongodb"):
        embedded.node(name).stop()
    replica = pids(embedded)["eu-replica-1"]
    with taken(ports["eu-primary"]), taken(ports["mongodb"]):
        report = EmbeddedCluster(embedded.folder, durable=False, report=lines.append).up()

        assert set(report.started) == {"eu-primary", "mongodb"}
        after = {node.name: node.port for node in embedded.status()}
        assert {name for name in ALL if after[name] != ports[name]} == {"eu-primary", "mongodb"}
        assert any(f"port {ports['eu-primary']} is taken" in line for line in lines)
        assert dotenv_values(embedded.env_file) == embedded.environment()
        # The replica was left running, and follows its primary to the new port.
        assert pids(embedded)["eu-replica-1"] == replica
        execute(embedded, "eu-primary", "elearning_owner", "CREATE TABLE moved AS SELECT 1 AS id")
        until_equal(embedded, "eu-replica-1", "SELECT id FROM moved", 1)
        # The URL names the replica set: its configuration holds the new port too.
        with content(embedded) as database:
            assert database.moved.insert_one({}).acknowledged


def test_a_port_that_is_taken_at_the_last_moment_is_replaced(
    embedded: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = {node.name: node.port for node in embedded.status()}["na-replica-1"]
    embedded.node("na-replica-1").stop()
    tried: list[int] = []

    def looks_free(number: int) -> bool:
        tried.append(number)
        return len(tried) == 1

    monkeypatch.setattr("elearning.cluster.embedded.starter.is_free", looks_free)
    with taken(port):
        embedded.node("na-replica-1").start()

    assert tried == [port, port]
    assert {node.name: node.port for node in embedded.status()}["na-replica-1"] != port
    assert query(embedded, "na-replica-1", "elearning_reader", "SELECT 1") == [(1,)]


def test_a_server_that_cannot_start_is_reported_with_its_last_words(
    embedded: EmbeddedCluster,
) -> None:
    node = embedded.node("asia-replica-1")
    node.stop()
    broken = embedded.folder / "data" / "asia-replica-1" / "data" / "postgresql.auto.conf"
    sound = broken.read_text()
    broken.write_text(f"{sound}\nno_such_setting = 1\n")

    with pytest.raises(ServerStartError, match=r'(?s)asia-replica-1.*"no_such_setting"') as caught:
        embedded.up()

    assert not any(secret in str(caught.value) for secret in passwords(embedded))
    broken.write_text(sound)
    assert embedded.up().started == ("asia-replica-1",)


def test_a_promoted_replica_is_not_expected_to_follow(embedded: EmbeddedCluster) -> None:
    execute(embedded, "asia-replica-1", "postgres", "SELECT pg_promote()")
    node = embedded.node("asia-replica-1")
    node.stop()
    node.start()
    assert query(embedded, "asia-replica-1", "elearning_reader", "SELECT pg_is_in_recovery()") == [
        (False,)
    ]
    # A replica again: made anew from its primary, the slot included.
    node.stop()
    shutil.rmtree(embedded.folder / "data" / "asia-replica-1" / "data")
    node.start()
    until_equal(embedded, "asia-replica-1", "SELECT pg_is_in_recovery()", expected=True)


def test_without_a_binary_for_mongodb_nothing_is_started(
    embedded: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mongodb", "na-replica-1"):
        embedded.node(name).stop()
    with monkeypatch.context() as patch:
        patch.setattr("elearning.cluster.embedded.starter.find_mongodb", lambda: find_mongodb([]))
        with pytest.raises(BinaryNotFound, match="found no MongoDB"):
            embedded.up()
    assert set(pids(embedded)) == ALL - {"mongodb", "na-replica-1"}
    assert set(embedded.up().started) == {"mongodb", "na-replica-1"}


def test_mongodb_that_cannot_start_is_reported_with_its_errors(embedded: EmbeddedCluster) -> None:
    node = embedded.node("mongodb")
    node.stop()
    broken = embedded.folder / "data" / "mongodb" / "data" / "storage.bson"
    sound = broken.read_bytes()
    broken.write_bytes(b"nonsense")

    with pytest.raises(ServerStartError, match=r"mongodb .* ended while it started") as caught:
        node.start()

    lines = str(caught.value).splitlines()[1:]
    assert lines
    assert not [line for line in lines if '"s":"I"' in line]
    broken.write_bytes(sound)
    node.start()


def test_a_file_of_the_servers_is_made_private_again(embedded: EmbeddedCluster) -> None:
    # mongod refuses a key that others can read.
    key = embedded.folder / "data" / "mongodb" / "replica-set.key"
    node = embedded.node("mongodb")
    node.stop()
    key.chmod(0o644)
    node.start()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_paused_server_is_silent_and_goes_on(embedded: EmbeddedCluster) -> None:
    node = embedded.node("na-primary")
    pid = pids(embedded)["na-primary"]

    node.pause()

    assert {state_of(one) for one in processes.tree(pid)} == {"T"}
    assert pids(embedded)["na-primary"] == pid
    with socket.create_connection(("127.0.0.1", embedded.status()[0].port), timeout=5) as client:
        # What opens a TLS negotiation: a running server answers with one byte at once.
        client.sendall(bytes.fromhex("0000000804d2162f"))
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)

        node.resume()

        client.settimeout(5)
        assert client.recv(1) in (b"N", b"S")
    assert query(embedded, "na-primary", "elearning_app", "SELECT 1") == [(1,)]


def state_of(pid: int) -> str:
    process = processes.find_process(pid)
    return process.state if process else "gone"


def test_a_paused_server_can_be_stopped_and_started(embedded: EmbeddedCluster) -> None:
    node = embedded.node("asia-replica-1")
    node.pause()
    node.stop()
    assert "asia-replica-1" not in pids(embedded)
    node.start()
    started = pids(embedded)["asia-replica-1"]
    node.start()
    assert pids(embedded)["asia-replica-1"] == started
    assert query(embedded, "asia-replica-1", "elearning_reader", "SELECT 1") == [(1,)]


def test_kill_takes_all_processes_of_the_server(embedded: EmbeddedCluster) -> None:
    pid = pids(embedded)["na-replica-1"]
    with connect(embedded, "na-replica-1", "elearning_reader"):
        everyone = processes.tree(pid)
        assert len(everyone) > 3

        embedded.node("na-replica-1").kill()

        assert all(processes.find_process(one) is None for one in everyone)
    embedded.node("na-replica-1").start()
