"""Makes the copies of a shard's rows equal to the rows.

With the role of replication: ordinary triggers and foreign keys do not stand in the way,
and those that react to copied rows (ENABLE ALWAYS) fire, as they do when rows are replicated.
"""

# ruff: noqa: S608 - statements are built from names of our own tables
from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import String, Table, UniqueConstraint

from elearning.cluster.mesh.connecting import Connection
from elearning.models import Base
from elearning.models.publication import CopiedTable, copied_tables

__all__ = ["FLEETING", "aside", "bring_in_line", "fetch", "sum_up"]

FLEETING = frozenset({"course_prerequisites", "course_ratings", "course_statistics"})
"""Tables whose rows are deleted at home: a copy without a row there is deleted as well."""

_ASIDE = 1_000_000


def fetch(home: Connection, away: Connection, codes: Iterable[int]) -> None:
    """Bring the rows of some regions to another shard, beside the copies that are there.

    Args:
        home: where the rows are, in a transaction that keeps them from being changed.
        away: where the copies are, in a transaction.
        codes: of the regions.
    """
    codes = tuple(codes)
    for table in copied_tables():
        columns, there = ", ".join(table.columns), _beside(table)
        away.execute(
            f"CREATE TEMP TABLE {there} ON COMMIT DROP AS "
            f"SELECT {columns} FROM public.{table.name} WITH NO DATA".encode()
        )
        rows = f"SELECT {columns} FROM public.{table.name} WHERE {table.rows_of(codes)}"
        with (
            home.cursor().copy(f"COPY ({rows}) TO STDOUT".encode()) as source,
            away.cursor().copy(f"COPY pg_temp.{there} ({columns}) FROM STDIN".encode()) as target,
        ):
            for data in source:
                target.write(data)


def bring_in_line(away: Connection, codes: Iterable[int]) -> int:
    """Make copies equal to the rows that were fetched, and tell how many differed.

    Copies without a row at home stay, but those of fleeting tables. Columns that are not copied
    are not touched.

    Args:
        away: where the copies are, in the transaction of `fetch`.
        codes: of the regions.
    """
    codes = tuple(codes)
    away.execute("SET LOCAL session_replication_role = replica")
    return sum(_bring_in_line(away, table, codes) for table in copied_tables())


def _beside(table: CopiedTable) -> str:
    return f"mesh_{table.name}"


def _bring_in_line(away: Connection, table: CopiedTable, codes: tuple[int, ...]) -> int:
    name, rows, there = table.name, table.rows_of(codes), _beside(table)
    columns = ", ".join(table.columns)
    same = " AND ".join(f"c.{column} = h.{column}" for column in table.key)
    differ = f"({_of('c', table.columns)}) IS DISTINCT FROM ({_of('h', table.columns)})"
    away.execute(f"ANALYZE pg_temp.{there}".encode())
    statements = [
        (
            f"UPDATE public.{name} AS c SET ({columns}) = ROW ({_of('h', table.columns)}) "
            f"FROM pg_temp.{there} AS h WHERE {same} AND {differ}"
        ),
        (
            f"INSERT INTO public.{name} ({columns}) "
            f"SELECT {_of('h', table.columns)} FROM pg_temp.{there} AS h "
            f"WHERE NOT EXISTS (SELECT FROM public.{name} AS c WHERE {same})"
        ),
    ]
    if name in FLEETING:
        statements.insert(
            0,
            f"DELETE FROM public.{name} AS c WHERE {rows} "
            f"AND NOT EXISTS (SELECT FROM pg_temp.{there} AS h WHERE {same})",
        )
    if other := aside(Base.metadata.tables[name]):
        # Two rows may have exchanged what is unique, and one is changed before the other.
        away.execute(
            f"UPDATE public.{name} AS c SET {other} "
            f"FROM pg_temp.{there} AS h WHERE {same} AND {differ}".encode()
        )
    return sum(away.execute(statement.encode()).rowcount for statement in statements)


def _of(alias: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{alias}.{column}" for column in columns)


def aside(table: Table) -> str:
    """Return what gives the unique columns of a row values that no other row has."""
    groups = [index.columns for index in table.indexes if index.unique]
    groups += [each.columns for each in table.constraints if isinstance(each, UniqueConstraint)]
    unique = {
        column
        for columns in groups
        for column in columns
        if not column.primary_key and not column.foreign_keys
    }
    return ", ".join(
        f"{column.name} = c.id::text"
        if isinstance(column.type, String)
        else f"{column.name} = c.{column.name} + {_ASIDE}"
        for column in sorted(unique, key=lambda column: column.name)
    )


def sum_up(connection: Connection) -> None:
    """Sum ratings and popularity of courses up anew where they are not what the counters say."""
    connection.execute(
        "UPDATE public.courses AS c "
        "SET rating_sum = s.rating_sum, total_ratings = s.total_ratings "
        "FROM (SELECT course_id, sum(rating_sum) AS rating_sum, "
        "sum(total_ratings) AS total_ratings "
        "FROM public.course_statistics GROUP BY course_id) AS s "
        "WHERE s.course_id = c.id "
        "AND (c.rating_sum, c.total_ratings) IS DISTINCT FROM (s.rating_sum, s.total_ratings)"
    )
    # What is added meanwhile stays: only the difference of one moment is made up for.
    connection.execute(
        "UPDATE public.course_popularity AS p "
        "SET enrollments = p.enrollments + d.enrollments, "
        "completions = p.completions + d.completions "
        "FROM (SELECT b.course_id, coalesce(s.enrollments, 0) - b.enrollments AS enrollments, "
        "coalesce(s.completions, 0) - b.completions AS completions "
        "FROM public.course_popularity AS b LEFT JOIN ("
        "SELECT course_id, sum(enrollments) AS enrollments, sum(completions) AS completions "
        "FROM public.course_statistics GROUP BY course_id"
        ") AS s ON s.course_id = b.course_id) AS d "
        "WHERE d.course_id = p.course_id AND (d.enrollments, d.completions) <> (0, 0)"
    )
