"""What each role is refused, tried out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, make_url

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.errors import (
    IllegalStep,
    MisroutedRow,
    NotPermitted,
    RefundRefused,
    TransactionNotPending,
)
from elearning.ids import new_id
from elearning.models import Base
from elearning.routing import Engines
from tests.models.support import scalar
from tests.models.test_grants import REPLICATOR
from tests.models.world import World, columns_of, insert_copy
from tests.snapshots import connect

pytestmark = pytest.mark.unmeasured

TABLES = sorted(Base.metadata.tables)


@pytest.fixture(scope="module")
def reader_engines(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Engines]:
    """Engines that reach the primaries as the role of the replicas."""
    shards = tuple(
        replace(shard, primary=make_url(cluster.url(f"{shard.name}-primary", "elearning_reader")))
        for shard in settings.shards
    )
    with Engines(replace(settings, shards=shards)) as opened:
        yield opened


@pytest.fixture
def reader(reader_engines: Engines, world: World) -> Iterator[Connection]:
    with reader_engines.primary("eu").engine.connect() as connection:
        yield connection


@pytest.fixture
def replicator(cluster: EmbeddedCluster, world: World) -> Iterator[psycopg.Connection]:
    with connect(make_url(cluster.url("eu-primary", "elearning_replicator"))) as connection:
        yield connection


@pytest.fixture
def owner(settings: Settings, world: World) -> Iterator[psycopg.Connection]:
    with (
        connect(settings.shard("eu").owner_url) as connection,
        connection.transaction(force_rollback=True),
    ):
        yield connection


def writes(table: str) -> list[str]:
    column = columns_of(table)[0]
    return [
        f"INSERT INTO {table} DEFAULT VALUES",
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM transactions",
        "UPDATE transactions SET gateway = 'x'",
        "UPDATE transactions SET amount = 0",
        "UPDATE transactions SET updated_at = now()",
        "INSERT INTO invoices DEFAULT VALUES",
        "UPDATE invoices SET total = 0",
        "DELETE FROM invoices",
        "INSERT INTO invoice_counters VALUES (3, 2026, 7)",
        "UPDATE invoice_counters SET last_number = 0",
        "DELETE FROM invoice_counters",
        "INSERT INTO hosted_regions VALUES (5)",
        "DELETE FROM hosted_regions",
        "UPDATE alembic_version SET version_num = 'x'",
        "DELETE FROM alembic_version",
        "UPDATE users SET email = 'x@example.com'",
        "INSERT INTO claims DEFAULT VALUES",
        "UPDATE claims SET status = 'released'",
        "DELETE FROM claims",
        "INSERT INTO claim_outcomes DEFAULT VALUES",
        "UPDATE claim_outcomes SET outcome = 'released'",
        "DELETE FROM claim_outcomes",
        "UPDATE course_seats SET taken = 0",
        "INSERT INTO waitlist (course_id) VALUES (NULL)",
        "UPDATE waitlist SET status = 'offered'",
        "DELETE FROM waitlist",
        "UPDATE course_statistics SET rating_sum = 5",
        "DELETE FROM course_statistics",
        "UPDATE course_prerequisites SET prerequisite_id = course_id",
        "UPDATE courses SET instructor_name = 'X'",
        "UPDATE enrollments SET claim_id = NULL",
        "INSERT INTO enrollments (claim_id) VALUES (NULL)",
        "SELECT offer_seats(NULL)",
        "SELECT count_course(NULL, NULL, NULL, NULL, NULL, NULL)",
        "UPDATE enrollments SET total_lessons = 0",
        "UPDATE enrollments SET completed_lessons = 0",
        "INSERT INTO enrollments (total_lessons) VALUES (1)",
        "UPDATE courses SET rating_sum = 5",
        "UPDATE courses SET total_ratings = 1",
        "INSERT INTO courses (total_ratings) VALUES (1)",
        "UPDATE lesson_progress SET archived = true",
        "INSERT INTO lesson_progress (archived) VALUES (true)",
        "DELETE FROM courses",
        "DELETE FROM course_modules",
        "DELETE FROM course_lessons",
        "DELETE FROM course_categories",
        *(f"TRUNCATE {table}" for table in TABLES),
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE FUNCTION region_code_of(p_id uuid) RETURNS int LANGUAGE sql RETURN 3",
        "CREATE TRIGGER mine AFTER DELETE ON users EXECUTE FUNCTION update_modified_timestamp()",
        "ALTER TABLE users ADD COLUMN more int",
        "ALTER TABLE transactions DISABLE TRIGGER refuse_settled_change",
        "ALTER TABLE transactions DISABLE TRIGGER ALL",
        "ALTER TABLE users DROP CONSTRAINT ck_users_email",
        "DROP TABLE outbox",
        "DROP TRIGGER refuse_settled_change ON transactions",
        "DROP FUNCTION complete_transaction",
        "DROP INDEX idx_users_email",
        "SET session_replication_role = replica",
        "SET ROLE elearning_owner",
        "SELECT update_course_rating()",
        "COPY users TO PROGRAM 'cat'",
    ],
)
def test_the_application_may_not(app: Connection, world: World, statement: str) -> None:
    with pytest.raises(NotPermitted, match="eu-primary refuses this to the role elearning_app"):
        app.exec_driver_sql(statement)


def test_the_application_changes_no_settled_payment(app: Connection, world: World) -> None:
    row = f"WHERE id = '{world.payment}'"
    for change in ("status = 'pending'", "status = 'failed'"):
        with pytest.raises(IllegalStep), app.begin_nested():
            app.exec_driver_sql(f"UPDATE transactions SET {change} {row}")
    for change in ("gateway_transaction_id = 'x'", "completed_at = now()"):
        with pytest.raises(TransactionNotPending), app.begin_nested():
            app.exec_driver_sql(f"UPDATE transactions SET {change} {row}")


def test_the_application_takes_a_step_of_an_invoice(root: Connection, world: World) -> None:
    insert_copy(root, world, "invoices", status="unpaid")
    root.exec_driver_sql("SET LOCAL ROLE elearning_app")
    row = "WHERE invoice_number = 'EU-COPY'"
    for status in ("overdue", "cancelled"):
        root.exec_driver_sql(f"UPDATE invoices SET status = '{status}' {row}")
    with pytest.raises(IllegalStep, match="from cancelled to paid"), root.begin_nested():
        root.exec_driver_sql(f"UPDATE invoices SET status = 'paid' {row}")
    with pytest.raises(NotPermitted):
        root.exec_driver_sql(f"UPDATE invoices SET status = 'paid', due_date = now() {row}")


def test_the_application_may_stage_imports(app: Connection, world: World) -> None:
    app.exec_driver_sql("CREATE TEMPORARY TABLE staged (id int) ON COMMIT DROP")
    app.exec_driver_sql("INSERT INTO staged VALUES (1)")


def test_a_temporary_table_does_not_lead_refuse_misrouted_row_astray(
    app: Connection, world: World
) -> None:
    app.exec_driver_sql(
        "CREATE TEMPORARY TABLE hosted_regions ON COMMIT DROP AS SELECT 5 AS region_code"
    )
    with pytest.raises(MisroutedRow):
        insert_copy(app, world, "users", id=new_id("asia"), region="asia")


def test_a_temporary_table_does_not_lead_refuse_wrong_refund_astray(
    app: Connection, world: World
) -> None:
    columns = "id, user_id, course_id, refund_of_id, amount, currency, transaction_type, gateway"
    app.exec_driver_sql(
        "CREATE TEMPORARY TABLE transactions (LIKE public.transactions) ON COMMIT DROP"
    )
    with pytest.raises(RefundRefused, match="is of 4900"):
        app.exec_driver_sql(
            f"INSERT INTO public.transactions ({columns}) "
            "SELECT new_id(3), user_id, course_id, id, 4901, currency, 'refund', gateway "
            f"FROM public.transactions WHERE id = '{world.payment}'"
        )


@pytest.mark.parametrize("table", [*TABLES, "alembic_version"])
def test_the_reader_reads(reader: Connection, table: str) -> None:
    assert scalar(reader, f"SELECT count(*) FROM {table}") > 0


@pytest.mark.parametrize("table", TABLES)
def test_the_reader_writes_nothing(reader: Connection, table: str) -> None:
    for statement in writes(table):
        with pytest.raises(NotPermitted, match="role elearning_reader"), reader.begin_nested():
            reader.exec_driver_sql(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT region_code('europe')",
        "SELECT region_code_of(id) FROM users",
        "SELECT new_id(3)",
        "SELECT enroll_user(NULL, NULL)",
        "SELECT complete_transaction(NULL, NULL)",
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "SELECT id FROM users FOR UPDATE",
        "SET session_replication_role = replica",
    ],
)
def test_the_reader_calls_nothing(reader: Connection, statement: str) -> None:
    with pytest.raises(NotPermitted, match="role elearning_reader"):
        reader.exec_driver_sql(statement)


@pytest.mark.parametrize("table", [*TABLES, "alembic_version"])
def test_the_replicator_reads_the_catalog_alone(replicator: psycopg.Connection, table: str) -> None:
    if table in REPLICATOR:
        assert replicator.execute(f"SELECT count(*) FROM {table}").fetchone() != (0,)
    else:
        with pytest.raises(InsufficientPrivilege):
            replicator.execute(f"SELECT count(*) FROM {table}")
    for statement in writes(table) if table in TABLES else ():
        with pytest.raises(InsufficientPrivilege):
            replicator.execute(statement)


def test_the_owner_changes_the_schema(owner: psycopg.Connection) -> None:
    owner.execute("CREATE TABLE more (id int)")
    owner.execute("ALTER TABLE users ADD COLUMN more int")
    owner.execute("CREATE FUNCTION more() RETURNS int LANGUAGE sql RETURN 1")
    owner.execute("ALTER TABLE transactions DISABLE TRIGGER refuse_settled_change")
    owner.execute("DROP TABLE invoices")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "ALTER TABLE transactions DISABLE TRIGGER ALL",
        "SELECT rolpassword FROM pg_authid",
        "COPY users TO PROGRAM 'cat'",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE c AS 'mine'",
    ],
)
def test_the_owner_is_no_superuser(settings: Settings, statement: str) -> None:
    # In no transaction, where some of these are refused to everybody.
    url = settings.shard("eu").owner_url
    with connect(url) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute(statement)
