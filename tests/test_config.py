from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from elearning.config import Limits, Settings
from elearning.errors import SettingsError, UnknownRegion
from elearning.regions import Region

BASE = {
    "ELEARNING_SHARDS": "na, eu asia",
    "ELEARNING_SHARD_NA_REGIONS": "north_america south_america",
    "ELEARNING_SHARD_NA_PRIMARY": "postgresql+psycopg://app:s3cret@h1:5432/elearning_na",
    "ELEARNING_SHARD_NA_REPLICAS": (
        "postgresql+psycopg://r:s3cret@h2/elearning_na postgresql+psycopg://r:s3cret@h3/elearning_na"
    ),
    "ELEARNING_SHARD_EU_REGIONS": "europe, africa",
    "ELEARNING_SHARD_EU_PRIMARY": "postgresql+psycopg://app:s3cret@h4/elearning_eu",
    "ELEARNING_SHARD_EU_OWNER": "postgresql+psycopg://owner:s3cret@h4/elearning_eu",
    "ELEARNING_SHARD_ASIA_REGIONS": "asia oceania",
    "ELEARNING_SHARD_ASIA_PRIMARY": "postgresql+psycopg://app:s3cret@h5/elearning_asia",
    "ELEARNING_MONGODB_URL": "mongodb://app:s3cret@h6:27017/elearning_content?replicaSet=rs",
}


def test_a_full_setting() -> None:
    settings = Settings.from_mapping(BASE)
    na, eu, asia = settings.shards
    assert [shard.name for shard in settings.shards] == ["na", "eu", "asia"]
    assert na.regions == (Region.NORTH_AMERICA, Region.SOUTH_AMERICA)
    assert [url.host for url in na.replicas] == ["h2", "h3"]
    assert asia.replicas == ()
    assert eu.owner_url.username == "owner"
    assert na.owner_url is na.primary
    assert settings.mongodb.database == "elearning_content"
    assert settings.home("africa") is eu
    assert settings.shard("asia") is asia


def test_a_shard_may_host_no_region() -> None:
    values = BASE | {
        "ELEARNING_SHARDS": "na eu asia spare",
        "ELEARNING_SHARD_SPARE_PRIMARY": "postgresql+psycopg://app@h9/spare",
    }
    assert Settings.from_mapping(values).shard("spare").regions == ()


def test_one_shard_may_host_all_regions() -> None:
    values = {
        "ELEARNING_SHARDS": "all",
        "ELEARNING_SHARD_ALL_REGIONS": " ".join(Region),
        "ELEARNING_SHARD_ALL_PRIMARY": "postgresql+psycopg://app@h1,h2/e?target_session_attrs=any",
        "ELEARNING_MONGODB_URL": "mongodb://h/x",
    }
    assert len(Settings.from_mapping(values).shards) == 1


@pytest.mark.parametrize(
    ("changes", "variable", "problem"),
    [
        ({"ELEARNING_SHARDS": ""}, "ELEARNING_SHARDS", "names no shard"),
        ({"ELEARNING_SHARDS": "na eu Asia"}, "ELEARNING_SHARDS", "'Asia' is no shard name"),
        ({"ELEARNING_SHARDS": "na na eu asia"}, "ELEARNING_SHARDS", "'na' twice"),
        (
            {"ELEARNING_SHARD_NA_REGIONS": "north_america atlantis"},
            "ELEARNING_SHARD_NA_REGIONS",
            "unknown region 'atlantis'",
        ),
        (
            {"ELEARNING_SHARD_EU_REGIONS": "europe africa asia"},
            "ELEARNING_SHARD_ASIA_REGIONS",
            "asia is hosted by shard 'eu' too",
        ),
        (
            {"ELEARNING_SHARD_EU_REGIONS": "europe europe africa"},
            "ELEARNING_SHARD_EU_REGIONS",
            "europe is hosted twice",
        ),
        (
            {"ELEARNING_SHARD_EU_REGIONS": "europe"},
            "ELEARNING_SHARD_<name>_REGIONS",
            "no shard hosts africa",
        ),
        (
            {"ELEARNING_SHARD_EU_PRIMARY": " "},
            "ELEARNING_SHARD_EU_PRIMARY",
            "shard 'eu' needs a primary",
        ),
        (
            {"ELEARNING_SHARD_EU_PRIMARY": "postgresql://app:s3cret@h/x"},
            "ELEARNING_SHARD_EU_PRIMARY",
            "name the driver",
        ),
        (
            {"ELEARNING_SHARD_EU_PRIMARY": "s3cret"},
            "ELEARNING_SHARD_EU_PRIMARY",
            "is no URL",
        ),
        (
            {"ELEARNING_SHARD_EU_PRIMARY": "postgresql+psycopg://app:s3cret@h:port/x"},
            "ELEARNING_SHARD_EU_PRIMARY",
            "is no URL",
        ),
        (
            {"ELEARNING_SHARD_EU_PRIMARY": "postgresql+psycopg://o@/x?host=a,b"}
            | {"ELEARNING_SHARD_NA_PRIMARY": "postgresql+psycopg://p:s3cret@/x?host=a,b"},
            "ELEARNING_SHARD_EU_PRIMARY",
            "leads to the database of shard 'na'",
        ),
        (
            {"ELEARNING_SHARD_NA_REPLICAS": "postgresql+psycopg://r:s3cret@h"},
            "ELEARNING_SHARD_NA_REPLICAS",
            "names no database",
        ),
        (
            {"ELEARNING_SHARD_EU_OWNER": "mysql://o:s3cret@h/x"},
            "ELEARNING_SHARD_EU_OWNER",
            "starts with mysql://",
        ),
        (
            {"ELEARNING_SHARD_EU_PRIMARY": "postgresql+psycopg://app:s3cret@s3cret@h/x"},
            "ELEARNING_SHARD_EU_PRIMARY",
            "more than one @",
        ),
        (
            {"ELEARNING_MONGODB_URL": "mongodb://app:s3cret@s3cret@h/x"},
            "ELEARNING_MONGODB_URL",
            "more than one @",
        ),
        ({"ELEARNING_MONGODB_URL": ""}, "ELEARNING_MONGODB_URL", "is not set"),
        ({"ELEARNING_MONGODB_URL": "http://h/x"}, "ELEARNING_MONGODB_URL", "is no URL"),
        ({"ELEARNING_MONGODB_URL": "mongodb://[::1/x"}, "ELEARNING_MONGODB_URL", "is no URL"),
        ({"ELEARNING_MONGODB_URL": "mongodb://u:s3cret@h"}, "ELEARNING_MONGODB_URL", "no database"),
    ],
)
def test_a_wrong_setting_names_its_variable(
    changes: dict[str, str], variable: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping(BASE | changes)
    assert str(caught.value).startswith(f"{variable}: ")
    assert problem in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_password_in_a_repr() -> None:
    assert "s3cret" not in repr(Settings.from_mapping(BASE))


def test_unknown_names() -> None:
    settings = Settings.from_mapping(BASE)
    with pytest.raises(SettingsError, match="has no shard 'mars', only na, eu, asia"):
        settings.shard("mars")
    with pytest.raises(UnknownRegion):
        settings.home("mars")


def write_env(file: Path, values: dict[str, str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    write_env(tmp_path / ".env", BASE)
    other = "postgresql+psycopg://app:pa$$word${HOME}@elsewhere/elearning_na"
    settings = Settings.load(tmp_path, {"ELEARNING_SHARD_NA_PRIMARY": other})
    assert settings.shard("na").primary.host == "elsewhere"
    assert settings.shard("eu").primary.host == "h4"


def test_a_dollar_in_the_file_is_a_dollar(tmp_path: Path) -> None:
    url = "postgresql+psycopg://app:pa$$word${HOME}@h/elearning_na"
    write_env(tmp_path / ".env", BASE | {"ELEARNING_SHARD_NA_PRIMARY": url})
    assert Settings.load(tmp_path, {}).shard("na").primary.password == "pa$$word${HOME}"


def test_the_embedded_cluster_comes_last(tmp_path: Path) -> None:
    write_env(tmp_path / ".elearning" / "cluster.env", BASE)
    assert Settings.load(tmp_path, {}).shard("eu").primary.host == "h4"
    own = {"ELEARNING_MONGODB_URL": "mongodb://own/x"}
    assert Settings.load(tmp_path, own).mongodb.url == "mongodb://own/x"
    # Whoever names shards of their own gets nothing of the cluster's mixed in.
    with pytest.raises(SettingsError, match="ELEARNING_SHARD_NA_PRIMARY"):
        Settings.load(tmp_path, {"ELEARNING_SHARDS": "na"})


def test_the_embedded_cluster_may_be_elsewhere(tmp_path: Path) -> None:
    write_env(tmp_path / "there" / "cluster.env", BASE)
    assert Settings.load(tmp_path, {"ELEARNING_CLUSTER_DIR": "there"}).shards
    with pytest.raises(SettingsError, match="elearning up"):
        Settings.load(tmp_path, {})


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"ELEARNING_SHARDS=\xff")
    with pytest.raises(SettingsError, match=r"\.env"):
        Settings.load(tmp_path, {})


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError, match=r"\.env: cannot be read"):
        Settings.load(tmp_path, {})


def test_a_line_that_cannot_be_parsed_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nELEARNING_SHARDS='na\n")
    with pytest.raises(SettingsError, match=r"\.env, line 2: is not of the form"):
        Settings.load(tmp_path, {})


def test_importing_reads_no_file_and_opens_no_connection(tmp_path: Path) -> None:
    # A .env that would break, and a hook that refuses sockets and reads of it.
    (tmp_path / ".env").write_text("ELEARNING_SHARDS=broken\n")
    program = """
import sys

def hook(event, args):
    if event in {"socket.connect", "socket.bind", "subprocess.Popen"}:
        raise SystemExit(f"{event} {args}")
    if event == "open" and str(args[0]).endswith((".env", ".ini")):
        raise SystemExit(f"open {args}")

sys.addaudithook(hook)
import elearning
import elearning.models, elearning.documents, elearning.routing, elearning.crud
import elearning.flows, elearning.cluster.health, elearning.cluster.embedded
import elearning.importing.catalog, elearning.testing.factories, elearning.cli.app
print("quiet")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "quiet\n", done.stderr


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("host=h1:1&host=h2:2", "primary"),
        ("host=h1,h2", "primary"),
        ("host=h1&host=h2&target_session_attrs=any", "any"),
        ("host=h1", None),
        ("", None),
    ],
)
def test_of_several_hosts_the_one_in_its_role(query: str, expected: str | None) -> None:
    url = f"postgresql+psycopg://app:s3cret@/elearning_na?{query}"
    roles = {"PRIMARY": expected, "OWNER": expected}
    if expected != "any":
        roles["REPLICAS"] = expected and "standby"
    for name, role in roles.items():
        settings = Settings.from_mapping(BASE | {f"ELEARNING_SHARD_NA_{name}": url})
        shard = settings.shard("na")
        found = {"PRIMARY": shard.primary, "OWNER": shard.owner_url, "REPLICAS": shard.replicas[0]}
        assert found[name].query.get("target_session_attrs") == role


def test_limits_have_defaults_and_can_be_set() -> None:
    assert Settings.from_mapping(BASE).limits == Limits(
        max_wait=0.5,
        max_lag_seconds=60,
        max_lag_bytes=8 * 2**20,
        check_interval=1,
        max_silence=1.5,
    )
    some = {"ELEARNING_MAX_WAIT": "0", "ELEARNING_MAX_LAG_BYTES": "1e3"}
    assert Settings.from_mapping(BASE | some).limits == Limits(max_wait=0, max_lag_bytes=1000)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1 s"])
def test_a_limit_that_is_no_number(text: str) -> None:
    with pytest.raises(SettingsError, match=r"ELEARNING_MAX_LAG_SECONDS: is .*, expected a number"):
        Settings.from_mapping(BASE | {"ELEARNING_MAX_LAG_SECONDS": text})


def test_nodes_cannot_be_looked_at_all_the_time() -> None:
    with pytest.raises(SettingsError, match=r"ELEARNING_CHECK_INTERVAL: is '0', .* above 0"):
        Settings.from_mapping(BASE | {"ELEARNING_CHECK_INTERVAL": "0"})
