"""What runs, and the files that are made of it."""

from __future__ import annotations

import json
import stat
from dataclasses import asdict
from pathlib import Path

import pytest

from elearning.cluster import embedded as package
from elearning.cluster.embedded import Topology, files, ports, settings
from elearning.cluster.embedded.credentials import Credentials
from elearning.cluster.embedded.state import State
from elearning.cluster.embedded.topology import NodeSpec
from elearning.errors import ClusterError

REPLICA = NodeSpec("eu-replica-2", "postgresql", "eu", "replica")


def test_the_default_is_three_shards_of_two_regions_with_a_replica_each() -> None:
    topology = Topology()
    assert list(topology.shards) == ["na", "eu", "asia"]
    assert sum(len(regions) for regions in topology.shards.values()) == 6
    assert [node.name for node in topology.nodes()][:3] == [
        "na-primary",
        "na-replica-1",
        "eu-primary",
    ]
    assert topology.mongodb in topology.nodes()
    assert Topology(replicas=0).replicas_of("eu") == ()
    assert len(Topology(replicas=2).nodes()) == 10


@pytest.mark.parametrize(
    ("shards", "replicas", "complaint"),
    [
        ({}, 1, "at least one shard"),
        ({"Na": ()}, 1, "'Na' is no name"),
        ({"n-a": ()}, 1, "'n-a' is no name"),
        ({"na'; DROP": ()}, 1, "is no name"),
        ({"na": ("South America",)}, 1, "'South America' is no name"),
        ({"na": ("europe",), "eu": ("europe",)}, 1, "hosted by one shard only"),
        ({"na": ()}, -1, "from 0 to 8, not -1"),
        ({"na": ()}, 9, "from 0 to 8, not 9"),
    ],
)
def test_a_topology_that_cannot_be_is_refused(
    shards: dict[str, tuple[str, ...]], replicas: int, complaint: str
) -> None:
    with pytest.raises(ClusterError, match=complaint):
        Topology(shards, replicas)


def conf(*, durable: bool, major: int, topology: Topology | None = None) -> dict[str, str]:
    following = settings.Following(5432, Path("/it's a \\ folder/pass"), "elearning_eu")
    text = settings.ServerSettings(
        node=REPLICA,
        topology=topology or Topology(),
        port=5436,
        major=major,
        durable=durable,
        following=following,
    ).text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


def test_data_that_lasts_is_forced_to_disk() -> None:
    lasting, passing = conf(durable=True, major=18), conf(durable=False, major=18)
    for name in ("fsync", "full_page_writes"):
        assert (lasting[name], passing[name]) == ("on", "off")
    assert (lasting["synchronous_commit"], passing["synchronous_commit"]) == ("on", "on")
    assert "dynamic_shared_memory_type" not in lasting


def test_settings_of_newer_versions_are_left_out_of_older_ones() -> None:
    assert conf(durable=True, major=17)["sync_replication_slots"] == "on"
    assert "sync_replication_slots" not in conf(durable=True, major=16)
    assert "max_active_replication_origins" in conf(durable=True, major=18)
    assert "max_active_replication_origins" not in conf(durable=True, major=17)


def test_limits_grow_with_the_shards() -> None:
    shards = {f"s{number}": () for number in range(12)}
    many = conf(durable=True, major=18, topology=Topology(shards, replicas=2))
    # A subscription to each of the other 11, with its copies of tables meanwhile.
    assert int(many["max_logical_replication_workers"]) >= 11 * 3
    assert int(many["max_replication_slots"]) >= 11 * 3 + 2
    assert int(many["max_wal_senders"]) >= 11 * 3 + 2 * 4
    assert int(many["max_worker_processes"]) > int(many["max_logical_replication_workers"])


def test_a_password_file_in_an_odd_folder_is_quoted_twice() -> None:
    found = conf(durable=True, major=18)["primary_conninfo"]
    assert r"passfile=''/it\\''s a \\\\ folder/pass''" in found
    assert found.startswith("'host=''127.0.0.1'' port=''5432'' ")
    assert "password" not in found


def test_credentials_are_kept_and_hidden(tmp_path: Path) -> None:
    made = Credentials.keep(tmp_path, None)
    path = tmp_path / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Credentials.keep(tmp_path, tmp_path) == made == Credentials.load(tmp_path)
    assert len(set(asdict(made).values())) == 9
    assert not any(secret in repr(made) for secret in asdict(made).values())

    # A file of an earlier release gets what it lacks, once.
    older = {name: value for name, value in asdict(made).items() if name != "email_key"}
    path.write_text(json.dumps(older))
    grown = Credentials.load(tmp_path)
    assert grown.email_key not in {"", made.email_key}
    assert Credentials.keep(tmp_path, tmp_path) == grown == Credentials.load(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    secret = made.postgres
    path.write_text(json.dumps({"postgres": secret}))
    with pytest.raises(ClusterError, match="cannot be read: KeyError") as caught:
        Credentials.load(tmp_path)
    assert secret not in str(caught.value)
    path.write_text(f'"{secret}')
    with pytest.raises(ClusterError, match="cannot be read: JSONDecodeError"):
        Credentials.load(tmp_path)


def test_a_state_file_of_another_version_is_refused(tmp_path: Path) -> None:
    state = State(Topology(), "me", tmp_path / "data", {"mongodb": 27017}, {"mongodb": "7.0"})
    state.save(tmp_path)
    assert State.load(tmp_path) == state
    path = tmp_path / "cluster.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ClusterError, match=r"another version of elearning \(format 2\)"):
        State.load(tmp_path)
    path.write_text("{}")
    with pytest.raises(ClusterError, match="cannot be read"):
        State.load(tmp_path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_private(path, "new\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        files.folder_lock(tmp_path),
        pytest.raises(ClusterError, match="has held the lock"),
        files.folder_lock(tmp_path, seconds=0.05),
    ):
        pytest.fail("both hold it")
    with files.folder_lock(tmp_path, seconds=0.05):
        pass


def test_ports_are_free_and_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free_port([])
    assert ports.is_free(port)
    monkeypatch.setattr(ports, "FIRST", port)
    monkeypatch.setattr(ports, "LAST", port + 1)
    assert ports.free_port([]) == port
    with pytest.raises(ClusterError, match="found no free port"):
        ports.free_port([port])


def test_the_package_offers_what_it_says() -> None:
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
