from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import check_drift, migrate
from elearning.config import Settings
from elearning.models import HEAD
from tests.migrations.support import (
    Elearning,
    catalog,
    databases,
    drifts,
    execute,
    hosted,
    rows,
    shard_of,
    superuser,
)
from tests.snapshots import connect

STRANGE_TRIGGER = (
    "CREATE TRIGGER refuse_misrouted_row BEFORE UPDATE ON users "
    "FOR EACH ROW EXECUTE FUNCTION refuse_misrouted_row()"
)
STRANGE_FUNCTION = (
    "CREATE OR REPLACE FUNCTION update_modified_timestamp() RETURNS trigger "
    "LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
)
NOT_VALID = (
    "ALTER TABLE users DROP CONSTRAINT ck_users_first_name, "
    "ADD CONSTRAINT ck_users_first_name CHECK (first_name ~ '[^[:space:]]') NOT VALID"
)
CHANGES = {
    "trigger replaced": (
        f"DROP TRIGGER refuse_misrouted_row ON users; {STRANGE_TRIGGER}",
        "trigger users.refuse_misrouted_row differs",
    ),
    "trigger dropped": (
        "DROP TRIGGER refuse_misrouted_row ON users",
        "trigger users.refuse_misrouted_row is missing",
    ),
    "trigger disabled": (
        "ALTER TABLE users DISABLE TRIGGER refuse_misrouted_row",
        "trigger users.refuse_misrouted_row differs",
    ),
    "trigger no longer always": (
        "ALTER TABLE course_lessons ENABLE TRIGGER update_enrolled_lessons",
        "trigger course_lessons.update_enrolled_lessons differs",
    ),
    "trigger added": (
        STRANGE_TRIGGER.replace("TRIGGER refuse_misrouted_row", "TRIGGER mine"),
        "trigger users.mine is not ours",
    ),
    "function body": (STRANGE_FUNCTION, "routine update_modified_timestamp() differs"),
    "function as its caller": (
        "ALTER FUNCTION update_course_rating() SECURITY INVOKER",
        "routine update_course_rating() differs",
    ),
    "function dropped": (
        "DROP FUNCTION region_code",
        "grant on routine region_code(p_region text) to elearning_app is missing",
        "routine region_code(p_region text) is missing",
    ),
    "constraint dropped": (
        "ALTER TABLE users DROP CONSTRAINT ck_users_first_name",
        "constraint users.ck_users_first_name is missing",
    ),
    "constraint not valid": (NOT_VALID, "constraint users.ck_users_first_name differs"),
    "column added": ("ALTER TABLE users ADD mine text", "column users.mine is not ours"),
    "column dropped": (
        "ALTER TABLE user_profiles DROP bio",
        "column user_profiles.bio is missing",
    ),
    "column type": (
        "ALTER TABLE user_profiles ALTER bio TYPE varchar(9)",
        "column user_profiles.bio differs",
    ),
    "column default": (
        "ALTER TABLE user_profiles ALTER locale SET DEFAULT 'de'",
        "column user_profiles.locale differs",
    ),
    "column nullable": (
        "ALTER TABLE users ALTER last_name DROP NOT NULL",
        "column users.last_name differs",
    ),
    "column no longer generated": (
        "ALTER TABLE enrollments ALTER progress_percentage DROP EXPRESSION",
        "column enrollments.progress_percentage differs",
    ),
    "index dropped": (
        "DROP INDEX idx_transactions_refund_of_id",
        "index transactions.idx_transactions_refund_of_id is missing",
    ),
    "index replaced": (
        "DROP INDEX idx_users_email; CREATE UNIQUE INDEX idx_users_email ON users (lower(email))",
        "index users.idx_users_email differs",
    ),
    "index added": ("CREATE INDEX mine ON users (first_name)", "index users.mine is not ours"),
    "table added": ("CREATE TABLE mine ()", "table mine is not ours"),
    "view added": ("CREATE VIEW mine AS SELECT 1", "view mine is not ours"),
    "sequence added": ("CREATE SEQUENCE mine", "sequence mine is not ours"),
    "type added": ("CREATE TYPE mine AS ENUM ()", "type mine is not ours"),
    "row security": ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "table users differs"),
    "unlogged": ("ALTER TABLE outbox SET UNLOGGED", "table outbox differs"),
    "rule added": (
        "CREATE RULE mine AS ON DELETE TO users DO INSTEAD NOTHING",
        "rule users.mine is not ours",
    ),
    "grant added": (
        "GRANT TRUNCATE ON users TO elearning_app",
        "grant on table users to elearning_app differs",
    ),
    "grant to everybody": (
        "GRANT SELECT ON users TO PUBLIC",
        "grant on table users to PUBLIC is not ours",
    ),
    "grant of a column": (
        "GRANT UPDATE (last_number) ON invoice_counters TO elearning_app",
        "grant on column invoice_counters.last_number to elearning_app is not ours",
    ),
    "grant of a function": (
        "GRANT EXECUTE ON FUNCTION update_course_rating TO PUBLIC",
        "grant on routine update_course_rating() to PUBLIC is not ours",
    ),
    "grant passed on": (
        "GRANT SELECT ON users TO elearning_reader WITH GRANT OPTION",
        "grant on table users to elearning_reader differs",
    ),
    "grant revoked": (
        "REVOKE SELECT ON users FROM elearning_reader",
        "grant on table users to elearning_reader is missing",
    ),
    "comment changed": (
        "COMMENT ON COLUMN users.region IS 'mine'",
        "comment on column users.region differs",
    ),
    "comment removed": ("COMMENT ON TABLE users IS NULL", "comment on table users is missing"),
    "region missing": (
        "DELETE FROM hosted_regions WHERE region_code = 5",
        "region asia is in the settings, and not hosted",
    ),
    "region added": (
        "INSERT INTO hosted_regions VALUES (1)",
        "region north_america is hosted, and not in the settings",
    ),
}
"""What somebody does by hand, and what the check says of it."""


@pytest.fixture
def drifting(settings: Settings, cluster: EmbeddedCluster, template: str) -> Iterator[Settings]:
    """Settings of a database at head on eu; that of na is the one it was copied from."""
    with databases(cluster, settings, "drifting", "eu", template=template) as made:
        na = shard_of(settings, "na", template)
        yield replace(made, shards=(na, *made.shards))


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


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_by_hand_is_found(
    drifting: Settings, elearning: Elearning, change: tuple[str, ...]
) -> None:
    eu = drifting.shard("eu")
    statements, *expected = change
    execute(eu.owner_url, statements)
    before = catalog(eu), hosted(eu)
    done = elearning(drifting, "migrate", "--check", "--shard", "eu")
    assert (done.code, done.err) == (1, "")
    first, *lines = done.out.splitlines()
    assert first == f"✗ shard eu: {len(expected)} difference(s) from {HEAD}"
    named = [line.strip().removesuffix(":") for line in lines if line[4:5] != " "]
    assert named == expected
    # It changes nothing.
    assert (catalog(eu), hosted(eu)) == before


def test_the_check_tells_what_should_be_and_what_is(filled: Settings) -> None:
    na, eu = filled.shards
    execute(na.owner_url, "ALTER TABLE users DROP last_login, ADD mine text")
    execute(eu.owner_url, STRANGE_FUNCTION)
    (_, na_lines, _), (_, eu_lines, _) = drifts(filled)
    assert na_lines == (
        "column users.last_login is missing:\n  -timestamp with time zone",
        "column users.mine is not ours:\n  +text",
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
