"""One transaction of the import: a file streams into a temporary table, then SQL works on it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import Connection, CursorResult, Engine, Executable, text

from elearning.errors import InvalidText, MalformedRow
from elearning.importing.csvfile import find_file, read_rows
from elearning.importing.fields import Value
from elearning.importing.oulad_files import File

__all__ = ["Report", "Staging", "staging", "table_of"]

Report = Callable[[str], None]

REPORT_EVERY = 1_000_000
"""Rows between two reports of one file."""

_OPEN = (
    # Two imports at once would number the same positions and wait for each other's rows.
    "SELECT pg_advisory_xact_lock(hashtextextended('elearning import oulad', 0))",
    # One COPY may last as long as the file is large; sums of a course fit in this memory.
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL work_mem = '64MB'",
)


def table_of(file: File) -> str:
    """Return the name of the temporary table that a file is staged in."""
    return f"oulad_{file.stem.lower()}"


class Staging:
    """The files of a folder and an open transaction.

    Each file gets a temporary table with its kept columns and the number of the
    ``line``; the table goes with the transaction.
    """

    def __init__(self, connection: Connection, folder: Path, report: Report) -> None:
        self._connection = connection
        self._folder = folder
        self._report = report

    def load(self, file: File) -> None:
        """Stream a file into its table.

        Raises:
            MalformedRow: a row is not what the file's columns promise.
        """
        path = find_file(self._folder, file.stem)
        table = table_of(file)
        columns = "".join(f", {column.name} {column.sql_type}" for column in file.kept)
        self.run(f"CREATE TEMP TABLE {table} (line bigint{columns}) ON COMMIT DROP")
        with (
            closing(self._values(path, file)) as rows,
            self._driver().cursor() as cursor,
            cursor.copy(SQL("COPY {} FROM STDIN").format(Identifier(table))) as copy,
        ):
            for row in rows:
                copy.write_row(row)
        # Autovacuum never sees a temporary table.
        self.run(f"ANALYZE {table}")

    def refuse(self, file: File, query: str | Executable, **values: object) -> None:
        """Refuse the file for the first row that a query of ``line, problem`` finds.

        Raises:
            MalformedRow: the query found a row.
        """
        row = self.run(query, **values).first()
        if row is not None:
            name = find_file(self._folder, file.stem).name
            raise MalformedRow(file=name, line=row.line, problem=row.problem)

    def run(self, query: str | Executable, **values: object) -> CursorResult[Any]:
        """Execute a statement in this transaction."""
        statement = text(query) if isinstance(query, str) else query
        return self._connection.execute(statement, values)

    def say(self, message: str) -> None:
        """Tell the caller how far the import is."""
        self._report(message)

    def _values(self, path: Path, file: File) -> Generator[list[Value]]:
        for count, (line, row) in enumerate(read_rows(path, file.header), start=1):
            try:
                values = file.parse(row)
            except InvalidText as error:
                raise MalformedRow(file=path.name, line=line, problem=str(error)) from None
            yield [line, *values]
            if count % REPORT_EVERY == 0:
                self.say(f"{path.name}: {count:,} rows read")

    def _driver(self) -> psycopg.Connection[Any]:
        driver = self._connection.connection.driver_connection
        if not isinstance(driver, psycopg.Connection):
            raise InvalidText(field="engine", problem="is not one of psycopg 3")
        return driver


@contextmanager
def staging(engine: Engine, folder: Path, report: Report) -> Iterator[Staging]:
    """Open a transaction that is committed at the end, and rolled back on an error."""
    with engine.begin() as connection:
        for statement in _OPEN:
            connection.execute(text(statement))
        yield Staging(connection, folder, report)
