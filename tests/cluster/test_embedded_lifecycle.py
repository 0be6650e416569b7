"""Up, down, and what lies between: on real servers."""

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
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from elearning.cluster.embedded import EmbeddedCluster, Topology, UpReport, processes
from elearning.cluster.embedded.binaries import find_mongodb
from elearning.config import Settings
from elearning.errors import BinaryNotFound, ClusterError, ServerStartError
from tests.cluster.embedded_support import (
    WAIT_SECONDS,
    CommandLines,
    connect,
    content,
    execute,
    passwords,
    pids,
    query,
    until_equal,
)

ALL = {
    "na-primary",
    "na-replica-1",
    "eu-primary",
    "eu-replica-1",
    "asia-primary",
    "asia-replica-1",
    "mongodb",
}


def test_a_cold_start_starts_all_seven_servers_and_tells_its_time(
    embedded: EmbeddedCluster,
) -> None:
    report = embedded.last_up
    assert report is not None
    assert set(report.started) == ALL
    assert report.already_running == ()
    assert int(report.postgres_version.split(".")[0]) >= 16
    assert int(report.mongod_version.split(".")[0]) >= 6
    assert report.data.is_dir()
    # 4 s where nothing else runs; the limit of 8 s is too tight for a busy machine.
    assert 0 < report.seconds < 30
    assert set(pids(embedded)) == ALL


def test_a_second_up_says_that_all_runs_and_starts_nothing(embedded: EmbeddedCluster) -> None:
    lines: list[str] = []
    before = pids(embedded)

    report = EmbeddedCluster(embedded.folder, durable=False, report=lines.append).up()

    assert report.started == ()
    assert set(report.already_running) == ALL
    assert "the cluster already runs" in lines
    assert pids(embedded) == before


def test_the_settings_are_in_a_file_and_lead_to_every_server(embedded: EmbeddedCluster) -> None:
    values = embedded.environment()
    assert dotenv_values(embedded.env_file) == values
    assert values["ELEARNING_SHARDS"] == "na eu asia"
    assert values["ELEARNING_SHARD_ASIA_REGIONS"] == "asia oceania"
    assert "'" not in "".join(values.values())

    settings = Settings.from_mapping(values)

    assert [shard.name for shard in settings.shards] == ["na", "eu", "asia"]
    ports = {node.name: node.port for node in embedded.status()}
    assert settings.shards[1].primary.port == ports["eu-primary"]
    assert [url.port for url in settings.shards[1].replicas] == [ports["eu-replica-1"]]
    assert len(set(ports.values())) == len(ALL)


@pytest.mark.parametrize("name", ["cluster.env", "secrets.json", "cluster.json"])
def test_files_with_secrets_are_for_their_owner_alone(embedded: EmbeddedCluster, name: str) -> None:
    mode = (embedded.folder / name).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_no_password_is_in_a_command_line_a_log_or_a_configuration(
    embedded: EmbeddedCluster, command_lines: CommandLines
) -> None:
    secrets = passwords(embedded)
    # The watch saw what it had to see.
    assert any("pg_basebackup" in line for line in command_lines.seen)
    assert any("initdb" in line for line in command_lines.seen)
    assert not [line for line in command_lines.seen if any(secret in line for secret in secrets)]

    data = embedded.folder / "data"
    # Not the databases themselves: a subscription is stored with its password.
    files = [path for path in (*data.glob("*/*"), *data.glob("*/data/*")) if path.is_file()]
    names = {"server.log", "postgresql.conf", "postgresql.auto.conf", "pg_hba.conf"}
    assert names <= {path.name for path in files}
    found = {path.name for path in files if holds(path, secrets)}
    assert found == {"replication.pgpass", "replica-set.key"}


def holds(path: Path, secrets: list[str]) -> bool:
    text = path.read_bytes()
    return any(secret.encode() in text for secret in secrets)


def test_no_password_is_shown_by_repr(embedded: EmbeddedCluster) -> None:
    shown = f"{embedded!r} {embedded.last_up!r} {embedded.status()!r} {embedded.node('mongodb')!r}"
    assert not any(secret in shown for secret in passwords(embedded))


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
    execute(embedded, "asia-primary", "elearning_app", "INSERT INTO crashed VALUES (1), (2)")
    # The postmaster alone, as the system's out-of-memory killer would: its children linger.
    os.kill(pids(embedded)["asia-primary"], signal.SIGKILL)

    report = embedded.up()

    assert report.started == ("asia-primary",)
    assert query(embedded, "asia-primary", "elearning_app", "SELECT count(*) FROM crashed") == [
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


def test_data_survives_down_and_up_while_two_start_it_at_once(embedded: EmbeddedCluster) -> None:
    execute(embedded, "na-primary", "elearning_owner", "CREATE TABLE kept (word text)")
    execute(embedded, "na-primary", "elearning_app", "INSERT INTO kept VALUES ('still here')")
    with content(embedded) as database:
        database.kept.insert_one({"word": "still here"})
    ports = {node.name: node.port for node in embedded.status()}
    running = pids(embedded)

    stopped = embedded.down()

    assert set(stopped) == ALL
    assert pids(embedded) == {}
    assert all(processes.find_process(pid) is None for pid in running.values())
    assert not embedded.env_file.exists()
    assert embedded.down() == []

    reports = up_twice_at_once(embedded)

    assert sorted(name for report in reports for name in report.started) == sorted(ALL)
    assert sorted(len(report.already_running) for report in reports) == [0, len(ALL)]
    assert {node.name: node.port for node in embedded.status()} == ports
    assert embedded.env_file.exists()
    until_equal(embedded, "na-replica-1", "SELECT word FROM kept", "still here")
    with content(embedded) as database:
        assert database.kept.find_one()["word"] == "still here"


def up_twice_at_once(cluster: EmbeddedCluster) -> list[UpReport]:
    reports: list[UpReport] = []
    threads = [
        threading.Thread(
            target=lambda: reports.append(EmbeddedCluster(cluster.folder, durable=False).up())
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


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


def test_an_interrupted_first_start_is_finished_by_the_next(embedded: EmbeddedCluster) -> None:
    # As if it had ended before the roles were made, and with a replica half copied: its slot
    # is there already.
    folder = embedded.folder / "data"
    (folder / "eu-primary" / "complete").unlink()
    execute(embedded, "eu-primary", "postgres", "ALTER ROLE elearning_app PASSWORD NULL")
    embedded.node("eu-replica-1").stop()
    half = folder / "eu-replica-1" / "data"
    half.rename(half.with_name("data.draft"))

    (folder / "mongodb" / "complete").unlink()

    assert embedded.up().started == ("eu-replica-1",)

    with content(embedded) as database:
        assert database.again.insert_one({}).acknowledged
    assert query(embedded, "eu-primary", "elearning_app", "SELECT 1") == [(1,)]
    until_equal(embedded, "eu-replica-1", "SELECT pg_is_in_recovery()", expected=True)
    assert not half.with_name("data.draft").exists()


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


def test_an_unknown_node_and_a_url_of_mongodb_are_refused(embedded: EmbeddedCluster) -> None:
    with pytest.raises(ClusterError, match="no node 'us-primary': there are na-primary"):
        embedded.node("us-primary")
    with pytest.raises(ClusterError, match="mongodb is no PostgreSQL node"):
        embedded.url("mongodb", "postgres")


def test_another_topology_does_not_fit_the_folder(embedded: EmbeddedCluster) -> None:
    with pytest.raises(ClusterError, match="not of the shards eu with 2 replicas each"):
        EmbeddedCluster(embedded.folder, topology=Topology({"eu": ("europe",)}, replicas=2)).up()


def test_lost_secrets_are_not_made_anew_beside_data_that_needs_them(
    embedded: EmbeddedCluster,
) -> None:
    secrets = embedded.folder / "secrets.json"
    hidden = secrets.rename(embedded.folder / "hidden.json")
    with pytest.raises(ClusterError, match=r"secrets\.json is gone"):
        embedded.up()
    hidden.rename(secrets)


def test_a_folder_without_a_cluster(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(tmp_path / "none")
    assert cluster.status() == []
    assert cluster.down() == []
    with pytest.raises(ClusterError, match="no cluster was started in"):
        cluster.environment()
    assert not (tmp_path / "none").exists()
