from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import check_drift
from elearning.config import Settings
from elearning.models import HEAD
from tests.migrations.support import (
    Elearning,
    catalog,
    databases,
    execute,
    hosted,
    shard_of,
    superuser,
)

pytestmark = pytest.mark.unmeasured

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
    "identity": (
        "ALTER TABLE outbox ALTER id SET MAXVALUE 3 SET CYCLE",
        "identity outbox_id_seq differs",
    ),
    "child elsewhere": (
        "CREATE SCHEMA mine; CREATE TABLE mine.people () INHERITS (users)",
        "child of users mine.people is not ours",
    ),
    "not null, not valid": (
        (
            "ALTER TABLE users ALTER last_name DROP NOT NULL, "
            "ADD CONSTRAINT mine NOT NULL last_name NOT VALID"
        ),
        "constraint users.mine is not ours",
    ),
    "setting of the database": (
        "ALTER DATABASE drifting SET default_transaction_isolation = 'serializable'",
        "setting of the database default_transaction_isolation is not ours",
    ),
    "grant of the database": (
        "GRANT CREATE ON DATABASE drifting TO elearning_app",
        "grant on the database to elearning_app is not ours",
    ),
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


BY_A_SUPERUSER = {
    "foreign keys off": (
        (
            "ALTER TABLE user_profiles DISABLE TRIGGER ALL; "
            "ALTER TABLE user_profiles ENABLE TRIGGER USER"
        ),
        "ALTER TABLE user_profiles ENABLE TRIGGER ALL",
        "trigger user_profiles.RI_ConstraintTrigger_c_",
    ),
    "attribute of a role": (
        "ALTER ROLE elearning_reader CREATEROLE",
        "ALTER ROLE elearning_reader NOCREATEROLE",
        "attributes of elearning_reader is not ours",
    ),
    "membership": (
        "GRANT pg_write_all_data TO elearning_app",
        "REVOKE pg_write_all_data FROM elearning_app",
        "membership of elearning_app in pg_write_all_data is not ours",
    ),
    "setting of a role": (
        "ALTER ROLE elearning_app SET session_replication_role = 'replica'",
        "ALTER ROLE elearning_app RESET session_replication_role",
        "setting of elearning_app session_replication_role is not ours",
    ),
}
"""Changes, how they are taken back (roles are the whole server's), and what is said of them."""


@pytest.fixture
def drifting(settings: Settings, cluster: EmbeddedCluster, template: str) -> Iterator[Settings]:
    """Settings of a database at head on eu; that of na is the one it was copied from."""
    with databases(cluster, settings, "drifting", "eu", template=template) as made:
        na = shard_of(settings, "na", template)
        yield replace(made, shards=(na, *made.shards))


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


@pytest.mark.parametrize("change", BY_A_SUPERUSER.values(), ids=BY_A_SUPERUSER)
def test_a_change_by_a_superuser_is_found(
    drifting: Settings, cluster: EmbeddedCluster, change: tuple[str, str, str]
) -> None:
    statement, back, expected = change
    url = superuser(cluster, "eu", "drifting")
    execute(url, statement)
    try:
        (_, eu) = check_drift(drifting)
        assert eu.error is None
        assert all(difference.startswith(expected) for difference in eu.differences)
        assert eu.differences
    finally:
        execute(url, back)


def test_how_names_are_quoted_makes_no_difference(drifting: Settings) -> None:
    execute(
        drifting.shard("eu").owner_url, "ALTER DATABASE drifting SET quote_all_identifiers = on"
    )
    assert [drift.differences for drift in check_drift(drifting)] == [(), ()]
