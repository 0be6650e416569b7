from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import check_drift, migrate
from elearning.config import Settings
from elearning.models import HEAD
from tests.migrations.support import (
    Elearning,
    drifts,
    execute,
    rows,
    superuser,
)
from tests.snapshots import connect

STRANGE_FUNCTION = (
    "CREATE OR REPLACE FUNCTION update_modified_timestamp() RETURNS trigger "
    "LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
)


def test_a_shard_is_clean_after_it_was_migrated(filled: Settings, elearning: Elearning) -> None:
    done = elearning(filled, "migrate", "--check")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"✓ shard na: no difference(s) from {HEAD}",
        f"✓ shard eu: no difference(s) from {HEAD}",
    ]


def test_the_shards_of_the_cluster_are_clean(settings: Settings) -> None:
    # Their default privileges are those of cluster/roles.sql.
    assert [(drift.ok, drift.revision) for drift in check_drift(settings)] == [(True, HEAD)] * 3


def test_the_check_tells_what_should_be_and_what_is(filled: Settings) -> None:
    na, eu = filled.shards
    execute(na.owner_url, "ALTER TABLE users DROP last_login, ADD mine text")
    execute(eu.owner_url, STRANGE_FUNCTION)
    (_, na_lines, _), (_, eu_lines, _) = drifts(filled)
    assert na_lines == (
        "column users.last_login is missing:\n  -timestamp with time zone",
        "column users.mine is not ours:\n  +text",
        "grant on column users.last_login to elearning_app is missing:\n  -UPDATE",
    )
    (routine,) = eu_lines
    assert "\n  -    NEW.updated_at" in routine
    assert "\n  +AS $function$ BEGIN RETURN NEW; END $function$" in routine


def test_an_index_that_was_cut_off_is_found(filled: Settings) -> None:
    eu = filled.shard("eu")
    (built,) = rows(eu.owner_url, "SELECT pg_get_indexdef('idx_users_created_at'::regclass)")
    with connect(eu.owner_url) as writer, connect(eu.owner_url) as builder:
        builder.execute("DROP INDEX idx_users_created_at")
        writer.execute("BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE")
        builder.execute("SET statement_timeout = '100ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            builder.execute(str(built[0]).replace("INDEX", "INDEX CONCURRENTLY"))
    assert drifts(filled) == [
        (
            "eu",
            (f"index users.idx_users_created_at differs:\n  -{built[0]}\n  +{built[0]} INVALID",),
            None,
        )
    ]


def test_the_check_needs_no_right_to_write(filled: Settings) -> None:
    eu = filled.shard("eu")
    execute(eu.owner_url, "ALTER TABLE users ADD mine text")
    reading = {"options": "-c default_transaction_read_only=on"}
    only = replace(eu, owner=eu.owner_url.update_query_dict(reading))
    drift = next(check_drift(replace(filled, shards=(only,))))
    assert drift.differences == ("column users.mine is not ours:\n  +text",)


def test_the_check_of_a_shard_that_is_behind_says_so(blank: Settings, elearning: Elearning) -> None:
    na, eu = blank.shards
    list(migrate(blank, "0003", shards=["eu"]))
    silent = replace(blank, shards=(replace(na, owner=na.owner_url.set(port=1)), eu))
    done = elearning(silent, "migrate", "--check")
    first, second = done.out.splitlines()
    assert done.code == 1
    assert first.startswith("✗ na-primary at 127.0.0.1:1 is not available: ")
    assert second == (
        f"✗ shard eu: is at 0003 and not at {HEAD}: 'elearning migrate' brings it there"
    )
    done = elearning(blank, "migrate", "--check", "--shard", "na")
    assert (done.code, done.out) == (
        1,
        f"✗ shard na: is at no revision and not at {HEAD}: 'elearning migrate' brings it there\n",
    )


def test_migrate_repairs_grants_and_regions(filled: Settings, elearning: Elearning) -> None:
    na, eu = filled.shards
    execute(
        na.owner_url,
        "GRANT TRUNCATE ON users TO elearning_app",
        "GRANT UPDATE (last_number) ON invoice_counters TO elearning_app",
        "GRANT EXECUTE ON FUNCTION update_course_rating TO PUBLIC, elearning_reader",
        "GRANT ALL ON alembic_version TO elearning_app",
    )
    execute(
        eu.owner_url,
        "REVOKE ALL ON users, courses FROM elearning_app, elearning_reader",
        "REVOKE EXECUTE ON FUNCTION new_id FROM elearning_app",
        "REVOKE USAGE ON SCHEMA public FROM elearning_app",
        "DELETE FROM hosted_regions",
        "INSERT INTO hosted_regions VALUES (1)",
    )
    assert [(name, len(found) >= 5) for name, found, _ in drifts(filled)] == [
        ("na", True),
        ("eu", True),
    ]
    done = elearning(filled, "migrate")
    assert (done.code, done.out.count("nothing to do")) == (0, 2)
    assert drifts(filled) == []


@pytest.mark.parametrize("extension", ["pg_stat_statements", "hstore", "tablefunc", "pg_trgm"])
def test_what_an_extension_brings_is_no_difference(
    filled: Settings, cluster: EmbeddedCluster, extension: str
) -> None:
    url = superuser(cluster, "eu", "filled")
    known = f"SELECT FROM pg_available_extensions WHERE name = '{extension}'"
    if not rows(url, known):
        pytest.skip(f"this server has no {extension}")
    execute(url, f"CREATE EXTENSION {extension}")
    assert drifts(filled) == []
    assert [each.error for each in migrate(filled)] == [None, None]


@pytest.mark.parametrize("what", ["table users", "routine update_course_rating()"])
def test_another_owner_is_found(filled: Settings, cluster: EmbeddedCluster, what: str) -> None:
    execute(superuser(cluster, "eu", "filled"), f"ALTER {what} OWNER TO elearning_app")
    ((name, found, _),) = drifts(filled)
    assert name == "eu"
    assert f"owner of {what} is not ours:\n  +elearning_app" in found
