"""Up, down, and the files of a cluster: on real servers."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from dotenv import dotenv_values

from elearning.cluster.embedded import EmbeddedCluster, Topology, UpReport, processes
from elearning.config import Settings
from elearning.errors import ClusterError
from tests.cluster.embedded_support import (
    ALL,
    CommandLines,
    content,
    execute,
    passwords,
    pids,
    query,
    until_equal,
)


def test_a_cold_start_starts_all_seven_servers_and_tells_its_time(
    embedded: EmbeddedCluster, cold_start: list[UpReport]
) -> None:
    (report,) = cold_start
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


def test_data_survives_down_and_up_while_two_start_it_at_once(embedded: EmbeddedCluster) -> None:
    execute(embedded, "na-primary", "elearning_owner", "CREATE TABLE kept (word text)")
    execute(embedded, "na-primary", "elearning_owner", "INSERT INTO kept VALUES ('still here')")
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
