from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy import URL

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import alembic_config, check_drift, migrate
from elearning.config import Settings, Shard, address_of
from elearning.errors import InvalidInput, SettingsError
from elearning.models import HEAD
from tests.migrations.support import (
    Elearning,
    catalog,
    drifts,
    execute,
    passwords,
    revision,
    rows,
    superuser,
)

REPAIRED = [None, None]


@contextmanager
def unchanged(settings: Settings) -> Iterator[None]:
    """Nothing is changed in the block, neither the schema nor the record of it."""

    def state(shard: Shard) -> tuple[object, ...]:
        found = catalog(shard)
        kept = ("alembic_version", "hosted_regions")
        there = [name for name in kept if f"table {name}" in found]
        return found, *(rows(shard.owner_url, f"TABLE {name}") for name in there)

    before = list(map(state, settings.shards))
    yield
    assert list(map(state, settings.shards)) == before


def error_of(settings: Settings, shard: str = "eu") -> str:
    """Return the one line that `migrate` has for a shard; it is shown that nothing is changed."""
    found = {}
    for fail_fast in (True, False):
        results = migrate(settings, shards=[shard], fail_fast=fail_fast)
        found[fail_fast] = next(results).error
    assert found[True] == found[False]
    error = str(found[True])
    assert "\n" not in error
    assert not any(word in error for word in passwords(settings))
    return error


def with_owner(settings: Settings, owner: URL) -> Settings:
    """Return settings where eu is migrated as somebody else."""
    na, eu = settings.shards
    return replace(settings, shards=(na, replace(eu, owner=owner)))


def test_an_unknown_shard(filled: Settings, elearning: Elearning) -> None:
    with unchanged(filled):
        for run in (migrate, check_drift):
            with pytest.raises(SettingsError, match="has no shard 'mars', only na, eu"):
                list(run(filled, shards=["eu", "mars"]))
        for words in (("--shard", "mars"), ("--region", "mars"), ("--check", "--shard", "mars")):
            done = elearning(filled, "migrate", *words)
            assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
            assert "'mars'" in done.err


def test_an_unknown_revision(blank: Settings, elearning: Elearning) -> None:
    unknown = "Can't locate revision identified by '9999'"
    with unchanged(blank):
        assert [each.error for each in migrate(blank, "9999")] == [unknown, unknown]
        done = elearning(blank, "migrate", "--to", "9999")
    assert done.code == 1
    assert done.out.count(unknown) == 2


def test_a_shard_that_does_not_answer(filled: Settings, elearning: Elearning) -> None:
    eu = filled.shard("eu")
    for change, problem in (
        ({"port": 1}, "eu-primary at 127.0.0.1:1 is not available: "),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"password": "wr0ng"}, "password authentication failed"),
        ({"username": "nobody"}, "nobody"),
    ):
        there = with_owner(filled, eu.owner_url.set(**change))
        assert problem in error_of(there)
        done = elearning(there, "migrate", "--check")
        assert done.code == 1
        assert problem in done.out
        assert not any(word in done.out for word in passwords(there))


def test_a_shard_that_a_newer_release_has_migrated(filled: Settings, elearning: Elearning) -> None:
    execute(filled.shard("eu").owner_url, "UPDATE alembic_version SET version_num = '0099'")
    ahead = (
        "shard eu: is at revision 0099, which this release does not know "
        f"(its newest is {HEAD}): migrate with the newer release"
    ).replace("eu: is", "eu is")
    with unchanged(filled):
        assert error_of(filled) == ahead
        assert drifts(filled) == [("eu", (), ahead)]
        for what, revision in ((command.upgrade, "head"), (command.downgrade, "base")):
            config = alembic_config(filled, "eu")
            with pytest.raises(CommandError) as refused:
                what(config, revision)
            assert str(refused.value) == ahead
        done = elearning(filled, "migrate")
    assert (done.code, done.out.count(ahead), done.out.count("nothing to do")) == (1, 1, 1)


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


def test_a_url_in_the_configuration(blank: Settings) -> None:
    config = alembic_config(blank)
    url = blank.shard("eu").owner_url.render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", url)
    with unchanged(blank), pytest.raises(CommandError) as refused:
        command.upgrade(config, "head")
    assert str(refused.value) == (
        "shard all: sqlalchemy.url is not read, the settings name the shards: see .env.example"
    )


def test_numbers_that_cannot_be(blank: Settings, elearning: Elearning) -> None:
    with unchanged(blank):
        for options in ({"jobs": 0}, {"jobs": -1}, {"lock_wait": -0.5}):
            with pytest.raises(InvalidInput, match="expected at least 1 and 0"):
                list(migrate(blank, **options))
        for words in (("--jobs", "0"), ("--lock-wait", "-1"), ("--jobs", "two")):
            done = elearning(blank, "migrate", *words)
            assert (done.code, done.out) == (2, "")
            assert f"Invalid value for '{words[0]}'" in done.err
