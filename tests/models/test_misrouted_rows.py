"""A row of a region that the shard does not host gets into no table, whoever brings it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.errors import DatabaseError
from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from elearning.errors import CopiedRow, MisroutedRow
from elearning.ids import new_id
from elearning.models import Base, Global, Record
from tests.models.support import scalar
from tests.models.world import World, columns_of, insert_copy

TABLES = sorted(
    mapper.class_.__tablename__
    for mapper in Base.registry.mappers
    if issubclass(mapper.class_, Record)
)
COPIED = sorted(
    mapper.class_.__tablename__
    for mapper in Base.registry.mappers
    if issubclass(mapper.class_, Global)
)
STRANGER = new_id("asia")

RATINGS = ("rating_sum", "total_ratings")

Bring = Callable[[Connection, World, str], Any]


def one(root: Connection, world: World, table: str) -> None:
    insert_copy(root, world, table, id=STRANGER)


def many(root: Connection, world: World, table: str) -> None:
    """Insert one that belongs here, and in the same statement one that does not."""
    columns = ", ".join(columns_of(table))
    rows = [json.dumps(world.copy(table) | own, default=str) for own in ({}, {"id": STRANGER})]
    root.exec_driver_sql(
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM (SELECT "
        f"(jsonb_populate_record(original, unnest(%(rows)s::jsonb[]))).* "
        f"FROM {table} AS original WHERE {world.where(table)}) AS copies",
        {"rows": rows},
    )


def moved(root: Connection, world: World, table: str) -> None:
    root.exec_driver_sql(f"UPDATE {table} SET id = '{STRANGER}' WHERE {world.where(table)}")


def bring_copy(root: Connection, world: World, table: str) -> None:
    """Insert a row of another shard as replication does."""
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")
    root.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS ck_{table}_home")
    others = {"region": "asia"} if table == "users" else {}
    insert_copy(root, world, table, id=STRANGER, **others)


@pytest.mark.parametrize("bring", [one, many, moved], ids=lambda bring: bring.__name__)
@pytest.mark.parametrize("table", TABLES)
def test_refuse_misrouted_row(root: Connection, world: World, table: str, bring: Bring) -> None:
    with pytest.raises(MisroutedRow, match=f"{STRANGER} of {table} belongs to region code 5"):
        bring(root, world, table)


@pytest.mark.parametrize("table", TABLES)
def test_refuse_misrouted_row_in_copy(root: Connection, world: World, table: str) -> None:
    columns = ", ".join(columns_of(table))
    found = root.exec_driver_sql(f"SELECT {columns} FROM {table} WHERE {world.where(table)}")
    row = dict(found.mappings().one()) | world.copy(table) | {"id": STRANGER}
    driver = root.connection.driver_connection
    assert driver is not None
    copy = driver.cursor().copy(f"COPY {table} ({columns}) FROM STDIN")
    values = [row[name] for name in columns_of(table)]
    sent = [Jsonb(each) if isinstance(each, dict) else each for each in values]
    with pytest.raises(DatabaseError, match="does not belong on this shard"), copy as rows:
        rows.write_row(sent)


@pytest.mark.parametrize("table", TABLES)
def test_refuse_misrouted_row_is_there(root: Connection, world: World, table: str) -> None:
    # It fires for whatever is written here, and not for what replication brings.
    definition, enabled = root.exec_driver_sql(
        "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger "
        f"WHERE tgname = 'refuse_misrouted_row' AND tgrelid = '{table}'::regclass"
    ).one()
    event = "INSERT OR DELETE OR UPDATE" if table in COPIED else "INSERT OR UPDATE OF id"
    if table == "courses":  # but for its ratings, which each shard sums up
        written = [name for name in columns_of(table) if name not in RATINGS]
        event += f" OF {', '.join(written)}"
    assert f"BEFORE {event} ON public.{table} FOR EACH ROW EXECUTE" in definition
    assert enabled == "O"
    bring_copy(root, world, table)
    assert scalar(root, f"SELECT count(*) FROM {table} WHERE id = '{STRANGER}'") == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {} SET created_at = created_at",
        "UPDATE {} SET id = new_id(3)",  # which would make it our own
        "DELETE FROM {}",
    ],
)
@pytest.mark.parametrize("table", COPIED)
def test_refuse_misrouted_row_of_a_copy(
    root: Connection, world: World, table: str, change: str
) -> None:
    bring_copy(root, world, table)
    root.exec_driver_sql("SET LOCAL session_replication_role = origin")
    told = f"{STRANGER} of {table} is a copy from asia"
    with pytest.raises(CopiedRow, match=told), root.begin_nested():
        root.exec_driver_sql(change.format(table) + f" WHERE id = '{STRANGER}'")
    # One such row among our own is enough.
    with pytest.raises(CopiedRow, match=told):
        root.exec_driver_sql(f"UPDATE {table} SET created_at = created_at")


@pytest.mark.parametrize("table", COPIED)
def test_refuse_misrouted_row_lets_replication_edit_a_copy(
    root: Connection, world: World, table: str
) -> None:
    bring_copy(root, world, table)
    for change in (f"UPDATE {table} SET created_at = now()", f"DELETE FROM {table}"):
        assert root.exec_driver_sql(f"{change} WHERE id = '{STRANGER}'").rowcount == 1


def test_refuse_misrouted_row_lets_a_shard_sum_up_a_copied_course(
    root: Connection, world: World
) -> None:
    bring_copy(root, world, "courses")
    root.exec_driver_sql("SET LOCAL session_replication_role = origin")
    root.exec_driver_sql(
        f"UPDATE courses SET rating_sum = 5, total_ratings = 1 WHERE id = '{STRANGER}'"
    )
