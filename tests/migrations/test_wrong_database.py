from __future__ import annotations

from dataclasses import replace

import pytest
from alembic import command
from alembic.util import CommandError

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import alembic_config, migrate
from elearning.config import Settings, address_of
from elearning.models import HEAD
from tests.migrations.support import (
    drifts,
    error_of,
    execute,
    revision,
    rows,
    superuser,
    unchanged,
    with_owner,
)

REPAIRED = [None, None]


def test_the_database_of_somebody_else(blank: Settings) -> None:
    eu = blank.shard("eu")
    foreign = (
        f"shard eu: the database blank at {address_of(eu.owner_url)} is not one of ours, "
        "it holds {}: correct the URL, or name an empty database"
    )
    for number, held in enumerate(("t1", "t1, t2", "t1, t2, t3", "t1, t2, t3 and 1 more"), 1):
        execute(eu.owner_url, f"CREATE TABLE t{number} ()")
        with unchanged(blank):
            assert error_of(blank) == foreign.format(held)
    # With a history of its own.
    execute(
        eu.owner_url,
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('1a2b3c')",
    )
    history = foreign.format("the revision 1a2b3c of another history")
    with unchanged(blank):
        assert error_of(blank) == history
        assert ("eu", (), history) in drifts(blank)
        with pytest.raises(CommandError, match="is not one of ours"):
            command.downgrade(alembic_config(blank, "eu"), "base")


def test_tables_of_an_extension_are_nobodys(blank: Settings, cluster: EmbeddedCluster) -> None:
    execute(superuser(cluster, "eu", "blank"), "CREATE EXTENSION pg_stat_statements")
    assert [each.error for each in migrate(blank)] == REPAIRED
    assert drifts(blank) == []


def test_our_tables_without_a_record_of_them(filled: Settings) -> None:
    execute(filled.shard("eu").owner_url, "DROP TABLE alembic_version")
    with unchanged(filled):
        assert error_of(filled) == (
            "shard eu: filled holds our tables, but no record of their revision: "
            "'alembic -x shard=eu stamp REVISION' writes it"
        )
    command.stamp(alembic_config(filled, "eu"), HEAD)
    assert [each.error for each in migrate(filled)] == REPAIRED
    assert drifts(filled) == []


def test_an_emptied_record_of_revisions(blank: Settings, filled: Settings) -> None:
    execute(filled.shard("eu").owner_url, "DELETE FROM alembic_version")
    with unchanged(filled):
        assert "filled holds our tables, but no record of their revision" in error_of(filled)
    execute(
        blank.shard("eu").owner_url,
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "CREATE TABLE theirs ()",
    )
    with unchanged(blank):
        assert "is not one of ours, it holds theirs: " in error_of(blank)
    execute(blank.shard("eu").owner_url, "DROP TABLE theirs")
    assert [each.error for each in migrate(blank)] == REPAIRED


def test_a_role_that_may_not_create(blank: Settings, filled: Settings) -> None:
    for settings in (blank, filled):
        eu = settings.shard("eu")
        as_app = with_owner(settings, eu.primary)
        with unchanged(settings):
            assert error_of(as_app) == (
                "shard eu: the role elearning_app may not create tables in the schema public in "
                f"{eu.primary.database} at {address_of(eu.primary)}: set ELEARNING_SHARD_EU_OWNER "
                "to the URL of the database's owner"
            )
    assert drifts(as_app) == []  # looking is allowed


def test_a_role_that_may_not_read_the_record(filled: Settings) -> None:
    eu = filled.shard("eu")
    execute(eu.owner_url, "REVOKE ALL ON alembic_version FROM elearning_app")
    with unchanged(filled):
        found = error_of(with_owner(filled, eu.primary))
    assert "the role elearning_app may not read the table alembic_version in filled" in found
    assert [each.error for each in migrate(filled)] == REPAIRED


def test_tables_that_belong_to_somebody_else(filled: Settings, cluster: EmbeddedCluster) -> None:
    eu = filled.shard("eu")
    command.downgrade(alembic_config(filled, "eu"), "0003")
    execute(superuser(cluster, "eu", "filled"), "ALTER TABLE outbox OWNER TO postgres")
    with unchanged(filled):
        assert "the role elearning_owner may not change the table outbox in" in error_of(filled)
    assert revision(eu) == "0003"


def test_a_replica_in_place_of_the_primary(settings: Settings) -> None:
    eu = settings.shard("eu")
    replica = eu.owner_url.set(port=eu.replicas[0].port)
    shards = tuple(
        replace(shard, owner=replica) if shard is eu else shard for shard in settings.shards
    )
    there = replace(settings, shards=shards)
    assert error_of(there) == (
        f"shard eu: {address_of(replica)} is a replica: "
        "ELEARNING_SHARD_EU_OWNER must lead to the primary"
    )
    assert drifts(there) == []  # looking is allowed


@pytest.mark.parametrize("path", ["other, public", '"$user", public', "other"])
def test_a_search_path_that_leads_elsewhere(blank: Settings, path: str) -> None:
    eu = blank.shard("eu")
    schema = "elearning_owner" if "user" in path else "other"
    execute(
        eu.owner_url,
        f"CREATE SCHEMA {schema}",
        f"ALTER ROLE elearning_owner IN DATABASE blank SET search_path = {path}",
    )
    with unchanged(blank):
        assert error_of(blank) == (
            f"shard eu: the search_path of elearning_owner leads to the schema {schema}: "
            "tables are made in public, so it must come first"
        )
    held = f"SELECT FROM pg_class WHERE relnamespace = '{schema}'::regnamespace"
    assert rows(eu.owner_url, held) == []


@pytest.mark.parametrize("path", ["other, public", "other", "''"])
def test_the_check_is_the_same_under_every_search_path(filled: Settings, path: str) -> None:
    execute(
        filled.shard("eu").owner_url,
        "CREATE SCHEMA other",
        "CREATE TABLE other.hosted_regions (region_code smallint)",
        f"ALTER ROLE elearning_owner IN DATABASE filled SET search_path = {path}",
    )
    assert drifts(filled) == []
