"""A row of a region that the shard does not host gets into no table, whoever brings it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.errors import DatabaseError
from sqlalchemy import Connection

from elearning.errors import MisroutedRow
from elearning.ids import new_id
from elearning.models import Base, Record
from tests.models.support import scalar
from tests.models.world import World, columns_of, insert_copy

TABLES = sorted(
    mapper.class_.__tablename__
    for mapper in Base.registry.mappers
    if issubclass(mapper.class_, Record)
)
STRANGER = new_id("asia")

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
    with pytest.raises(DatabaseError, match="does not belong on this shard"), copy as rows:
        rows.write_row([row[name] for name in columns_of(table)])


@pytest.mark.parametrize("table", TABLES)
def test_refuse_misrouted_row_is_there(root: Connection, world: World, table: str) -> None:
    # It fires for whatever is written here, and not for what replication brings.
    definition, enabled = root.exec_driver_sql(
        "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger "
        f"WHERE tgname = 'refuse_misrouted_row' AND tgrelid = '{table}'::regclass"
    ).one()
    assert f"BEFORE INSERT OR UPDATE OF id ON public.{table} FOR EACH ROW EXECUTE" in definition
    assert enabled == "O"
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")
    root.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS ck_{table}_home")
    others = {"region": "asia"} if table == "users" else {}
    insert_copy(root, world, table, id=STRANGER, **others)
    assert scalar(root, f"SELECT count(*) FROM {table} WHERE id = '{STRANGER}'") == 1
