"""Replication, roles and passwords of the embedded cluster: on real servers."""

from __future__ import annotations

import socket
from typing import Any

import psycopg
import pytest
from psycopg import errors
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from elearning.cluster.embedded import EmbeddedCluster
from tests.cluster.embedded_support import connect, content, execute, query, until_equal

ROLES = (
    "postgres",
    "elearning_owner",
    "elearning_app",
    "elearning_reader",
    "elearning_replicator",
)


@pytest.fixture(scope="module", autouse=True)
def _tables(embedded: EmbeddedCluster) -> None:
    execute(
        embedded,
        "na-primary",
        "elearning_owner",
        "CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text)",
        "CREATE SEQUENCE numbers",
        "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql RETURN $1 * 2",
        "INSERT INTO item (word) VALUES ('first')",
        # Nobody may do anything by itself; migrations grant it, here we do.
        "GRANT SELECT, INSERT, UPDATE, DELETE ON item TO elearning_app",
        "GRANT SELECT ON item TO elearning_reader, elearning_replicator",
    )


def test_a_replica_streams_from_its_own_primary(embedded: EmbeddedCluster) -> None:
    for shard in ("na", "eu", "asia"):
        name = f"streamed_{shard}"
        statement = f"CREATE TABLE {name} AS SELECT 7 AS id"
        execute(embedded, f"{shard}-primary", "elearning_owner", statement)
        until_equal(embedded, f"{shard}-replica-1", f"SELECT id FROM {name}", 7)
        slots = "SELECT slot_name, active FROM pg_replication_slots WHERE slot_type = 'physical'"
        assert query(embedded, f"{shard}-primary", "elearning_owner", slots) == [
            (f"{shard}_replica_1", True)
        ]


def test_a_replica_refuses_to_write(embedded: EmbeddedCluster) -> None:
    with (
        connect(embedded, "na-replica-1", "elearning_owner") as connection,
        pytest.raises(errors.ReadOnlySqlTransaction),
    ):
        connection.execute("INSERT INTO item (word) VALUES ('nowhere')")


def test_subscriptions_work_between_primaries_of_one_initdb(embedded: EmbeddedCluster) -> None:
    # They share a system identifier; the owner subscribes, without being superuser.
    execute(
        embedded,
        "na-primary",
        "elearning_owner",
        "CREATE TABLE shared (id int PRIMARY KEY, word text)",
        "INSERT INTO shared VALUES (1, 'copied')",
        "GRANT SELECT ON shared TO elearning_replicator",
        "GRANT SELECT, INSERT ON shared TO elearning_app",
        "CREATE PUBLICATION everything FOR TABLE shared",
    )
    source = embedded.url("na-primary", "elearning_replicator")
    source = source.replace("postgresql+psycopg://", "postgresql://")
    version = connection_version(embedded)
    failover = ", failover = true" if version >= 170000 else ""
    execute(
        embedded,
        "eu-primary",
        "elearning_owner",
        "CREATE TABLE shared (id int PRIMARY KEY, word text)",
        f"CREATE SUBSCRIPTION from_na CONNECTION '{source}' PUBLICATION everything"
        f" WITH (slot_name = 'eu_from_na'{failover})",
    )
    # As a copy at first, then as a stream; on to the replica of the subscriber each time.
    until_equal(embedded, "eu-replica-1", "SELECT string_agg(word, ' ') FROM shared", "copied")
    execute(embedded, "na-primary", "elearning_app", "INSERT INTO shared VALUES (2, 'streamed')")
    both = "SELECT string_agg(word, ' ' ORDER BY id) FROM shared"
    until_equal(embedded, "eu-replica-1", both, "copied streamed")
    if version >= 170000:
        # A slot that survives a promotion: the replica keeps it in step. Where nothing happens
        # it looks every 30 s; when it starts, at once.
        embedded.node("na-replica-1").stop()
        embedded.node("na-replica-1").start()
        synced = "SELECT bool_and(synced) FROM pg_replication_slots WHERE slot_name = 'eu_from_na'"
        until_equal(embedded, "na-replica-1", synced, expected=True)
    execute(embedded, "eu-primary", "elearning_owner", "DROP SUBSCRIPTION from_na")


def connection_version(cluster: EmbeddedCluster) -> int:
    with connect(cluster, "na-primary", "elearning_app") as connection:
        return connection.info.server_version


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("elearning_app", "CREATE TABLE mine (id int)"),
        ("elearning_reader", "CREATE TEMPORARY TABLE mine (id int)"),
        ("elearning_app", "CREATE SCHEMA mine"),
        ("elearning_app", "TRUNCATE item"),
        ("elearning_app", "ALTER TABLE item ADD COLUMN more int"),
        ("elearning_app", "DROP TABLE item"),
        ("elearning_app", "SELECT * FROM pg_authid"),
        ("elearning_app", "COPY item TO PROGRAM 'cat'"),
        ("elearning_app", "CREATE PUBLICATION mine FOR TABLE item"),
        ("elearning_reader", "INSERT INTO item (word) VALUES ('x')"),
        ("elearning_reader", "UPDATE item SET word = 'x'"),
        ("elearning_reader", "DELETE FROM item"),
        ("elearning_reader", "SELECT nextval('numbers')"),
        ("elearning_app", "SELECT nextval('numbers')"),
        ("elearning_app", "SELECT twice(1)"),
        ("elearning_reader", "SELECT twice(1)"),
        ("elearning_replicator", "INSERT INTO item (word) VALUES ('x')"),
        ("elearning_replicator", "SELECT twice(1)"),
        ("elearning_owner", "CREATE ROLE mine"),
        ("elearning_owner", "CREATE DATABASE mine"),
        ("elearning_owner", "ALTER SYSTEM SET work_mem = '1GB'"),
        ("elearning_owner", "SELECT pg_read_file('/etc/passwd')"),
    ],
)
def test_a_role_cannot_do_what_it_need_not(
    embedded: EmbeddedCluster, role: str, statement: str
) -> None:
    with (
        connect(embedded, "na-primary", role) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("role", "statement", "expected"),
    [
        ("elearning_app", "SELECT word FROM item WHERE id = 1", "first"),
        ("elearning_app", "UPDATE item SET word = word WHERE id = 1 RETURNING word", "first"),
        # Imports are staged in temporary tables.
        ("elearning_app", "SELECT has_database_privilege(current_database(), 'TEMPORARY')", True),
        ("elearning_reader", "SELECT word FROM item WHERE id = 1", "first"),
        ("elearning_replicator", "SELECT word FROM item WHERE id = 1", "first"),
        (
            "elearning_owner",
            "SELECT tableowner FROM pg_tables WHERE tablename = 'item'",
            "elearning_owner",
        ),
    ],
)
def test_a_role_can_do_what_it_must(
    embedded: EmbeddedCluster, role: str, statement: str, expected: Any
) -> None:
    assert query(embedded, "na-primary", role, statement) == [(expected,)]


def test_the_reader_sees_how_far_its_replica_is(embedded: EmbeddedCluster) -> None:
    statement = "SELECT received_tli FROM pg_stat_wal_receiver"
    assert query(embedded, "na-replica-1", "elearning_reader", statement) == [(1,)]
    # Another role sees the row, but nothing in it.
    assert query(embedded, "na-replica-1", "elearning_app", statement) == [(None,)]


@pytest.mark.parametrize("role", ROLES[1:])
@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_the_roles_stay_in_their_database(
    embedded: EmbeddedCluster, role: str, database: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(embedded, "na-primary", role, dbname=database)


@pytest.mark.parametrize("role", ROLES)
def test_a_wrong_password_is_refused(embedded: EmbeddedCluster, role: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(embedded, "na-primary", role, password="wrong")


def test_replication_needs_the_password_and_the_role(embedded: EmbeddedCluster) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(
            embedded,
            "na-primary",
            "elearning_replicator",
            password="wrong",
            options="-c log_statement=none",
            replication="true",
        )
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry for repl"):
        connect(embedded, "na-primary", "elearning_app", replication="true")


def test_passwords_are_stored_as_scram_verifiers(embedded: EmbeddedCluster) -> None:
    statement = "SELECT DISTINCT split_part(rolpassword, '$', 1) FROM pg_authid WHERE rolcanlogin"
    assert query(embedded, "na-primary", "postgres", statement) == [("SCRAM-SHA-256",)]
    rules = "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
    assert query(embedded, "na-primary", "postgres", rules) == [("scram-sha-256",)]


def test_servers_listen_on_loopback_alone(embedded: EmbeddedCluster) -> None:
    addresses = other_addresses()
    for node in embedded.status():
        for address in addresses:
            with pytest.raises(OSError, match=r"refused|timed out"):
                socket.create_connection((address, node.port), timeout=1)
    shown = "SELECT setting FROM pg_settings WHERE name = ANY ('{%s}') ORDER BY name"
    names = "listen_addresses,unix_socket_directories"
    assert query(embedded, "eu-primary", "postgres", shown % names) == [("127.0.0.1",), ("",)]


def other_addresses() -> list[str]:
    found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET, socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found if not str(address[0]).startswith("127.")]


def test_commits_are_flushed_even_where_fsync_is_off(embedded: EmbeddedCluster) -> None:
    names = ["fsync", "full_page_writes", "synchronous_commit", "hot_standby_feedback", "wal_level"]
    with connect(embedded, "eu-primary", "elearning_app") as connection:
        found = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
        assert found == [("off",), ("off",), ("on",), ("on",), ("logical",)]
        assert connection.execute("SHOW cluster_name").fetchone() == ("eu-primary",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_mongodb_is_a_replica_set_and_asks_for_passwords(embedded: EmbeddedCluster) -> None:
    url = embedded.environment()["ELEARNING_MONGODB_URL"]
    with content(embedded) as database:
        with database.client.start_session() as session, session.start_transaction():
            database.things.insert_one({"a": 1}, session=session)
        assert database.things.count_documents({}) == 1
        assert database.client.admin.command("hello")["setName"] == "elearning"
        for forbidden in ("admin", "elearning_other"):
            with pytest.raises(OperationFailure, match="not authorized"):
                database.client[forbidden].things.find_one()
        with pytest.raises(OperationFailure, match="not authorized"):
            database.command("createUser", "mine", pwd="x", roles=[])
    head, _, tail = url.partition("@")
    wrong = f"{head[:-2]}xx@{tail}"
    client: MongoClient[dict[str, Any]]
    with (
        MongoClient(wrong) as client,
        pytest.raises(OperationFailure, match="Authentication failed"),
    ):
        client.get_default_database().things.find_one()
    with (
        MongoClient(f"mongodb://{tail.partition('?')[0]}", directConnection=True) as client,
        pytest.raises(OperationFailure, match="requires authentication"),
    ):
        client.get_default_database().things.find_one()
