"""Brings rows back home that only their copies have.

A replica that is promoted may lack the last commits of the lost primary, which had sent them
to the other shards already. What those have is the only trace of what was lost.
"""

# ruff: noqa: S608 - statements are built from names of our own tables
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation

from elearning.cluster.mesh.connecting import Connection
from elearning.cluster.mesh.synchronize import FLEETING, aside
from elearning.models import Base
from elearning.models.publication import CopiedTable, copied_tables
from elearning.text import first_line

__all__ = ["Rescued", "bring_back"]

_AT_ONCE = 1_000


@dataclass(slots=True)
class Rescued:
    """How many rows came back, and what is said about those that could not."""

    rows: int = 0
    left: list[str] = field(default_factory=list)


def bring_back(home: Connection, away: Connection, codes: Iterable[int]) -> Rescued:
    """Insert at home what only another shard has, as far as home takes it.

    Rows that others refer to come first. Rows of fleeting tables are not brought back: at home
    they are deleted, too.

    Args:
        home: of the rows; each row is a transaction of its own.
        away: where copies of them are.
        codes: of the regions.
    """
    rescued = Rescued()
    for table in copied_tables():
        if table.name not in FLEETING:
            _bring_back(home, away, table, tuple(codes), rescued)
    return rescued


def _bring_back(
    home: Connection, away: Connection, table: CopiedTable, codes: tuple[int, ...], done: Rescued
) -> None:
    ids = f"SELECT id FROM public.{table.name} WHERE {table.rows_of(codes)}".encode()
    there = {row[0] for row in home.execute(ids)}
    lost = [row[0] for row in away.execute(ids) if row[0] not in there]
    columns = ", ".join(table.columns)
    for start in range(0, len(lost), _AT_ONCE):
        rows = away.execute(
            f"SELECT {columns} FROM public.{table.name} WHERE id = ANY (%s)".encode(),
            [lost[start : start + _AT_ONCE]],
        ).fetchall()
        refused = _insert_all(home, table, rows)
        done.rows += len(rows) - len(refused)
        done.left += [f"{table.name} {key} ({why})" for key, why in refused.items()]


def _insert_all(
    home: Connection, table: CopiedTable, rows: list[tuple[Any, ...]]
) -> dict[object, str]:
    """Insert rows until no more of them is taken: one may refer to another."""
    key = table.columns.index("id")
    left, refused = rows, dict.fromkeys((row[key] for row in rows), "")
    while left:
        again = []
        for row in left:
            try:
                _insert(home, table, row)
            except psycopg.OperationalError:
                raise
            except psycopg.DatabaseError as error:
                refused[row[key]] = first_line(error)
                again.append(row)
            else:
                del refused[row[key]]
        if len(again) == len(left):
            break
        left = again
    return refused


def _insert(home: Connection, table: CopiedTable, row: tuple[Any, ...]) -> None:
    columns = ", ".join(table.columns)
    values = ", ".join(["%s"] * len(row))
    insert = (
        f"INSERT INTO public.{table.name} ({columns}) VALUES ({values}) ON CONFLICT (id) DO NOTHING"
    ).encode()
    try:
        home.execute(insert, row)
    except UniqueViolation:
        # Home has given its place, or its part of a URL, to another row since.
        other = aside(Base.metadata.tables[table.name])
        if not other:
            raise
        with home.transaction():
            staged = f"mesh_lost_{table.name}"
            home.execute(
                f"CREATE TEMP TABLE {staged} ON COMMIT DROP AS "
                f"SELECT {columns} FROM public.{table.name} WITH NO DATA".encode()
            )
            home.execute(
                f"INSERT INTO pg_temp.{staged} ({columns}) VALUES ({values})".encode(),
                row,
            )
            home.execute(f"UPDATE pg_temp.{staged} AS c SET {other}".encode())
            home.execute(
                f"INSERT INTO public.{table.name} ({columns}) "
                f"SELECT {columns} FROM pg_temp.{staged}".encode()
            )
