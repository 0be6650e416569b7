"""Statements that psycopg executes by itself, on the connection that SQLAlchemy holds.

For each execution SQLAlchemy makes a context and a result, which takes about as long as psycopg
does for a short statement. What they find out is the same for all statements of a form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from sqlalchemy import Connection, Dialect, Enum, Select, UpdateBase
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import iterate

from elearning.routing.statements import Form

__all__ = ["Quick", "is_heard", "quick_of"]

Binds = Sequence[BindParameter[Any]]
Process = Callable[[Any], Any]


class Quick:
    """The SQL of a form, and what values become on their way to the driver and back.

    Args:
        compiled: of a statement of the form.
        dialect: whose SQL it is.
        binds: the statement's parameters.

    Raises:
        LookupError: a parameter is none of the statement's.
    """

    def __init__(self, compiled: Any, dialect: Dialect, binds: Binds) -> None:
        if compiled.escaped_bind_names:
            raise LookupError(compiled.escaped_bind_names)
        self.columns = tuple(compiled._result_columns)  # noqa: SLF001 - nothing public has them
        self._sql = str(compiled)
        # A literal value stands in the SQL.
        sent = compiled.bind_names.keys() - compiled.literal_execute_params
        names = {bind: compiled.bind_names[bind] for bind in sent}
        self._places = [(name, _place(bind, binds)) for bind, name in names.items()]
        self._bound = [
            (name, process)
            for bind, name in names.items()
            if (process := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        ]
        self._read: list[tuple[int, Process]] | None = None

    def values(self, binds: Binds, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the values of a statement's parameters; None: one is missing.

        Args:
            binds: the parameters of the statement, as `Form` has them.
            given: values that come with this execution.
        """
        values = {}
        for name, place in self._places:
            bind = binds[place]
            if bind.key in given:
                values[name] = given[bind.key]
            elif name in given:
                values[name] = given[name]
            elif bind.required:
                return None
            else:
                values[name] = bind.effective_value
        return values

    def rows(
        self, connection: Connection, values: dict[str, Any], most: int | None
    ) -> list[tuple[Any, ...]]:
        """Execute a statement of the form, and return its rows.

        Args:
            connection: to execute it on.
            values: of its parameters.
            most: how many rows; None: all.

        Raises:
            SQLAlchemyError, ElearningError: what SQLAlchemy would raise.
        """
        cursor = None
        try:
            for name, process in self._bound:
                values[name] = process(values[name])
            cursor = connection.connection.cursor()
            cursor.execute(self._sql, values)
            rows: list[Any] = list(cursor.fetchmany(most) if most else cursor.fetchall())
        except BaseException as error:  # noqa: BLE001 - SQLAlchemy raises it
            _fail(connection, error, self._sql, values, cursor)
        if self._read is None:
            self._read = self._processes(connection.dialect, cursor.description)
        cursor.close()
        return [self._processed(row) for row in rows] if self._read else rows

    def _processes(self, dialect: Dialect, found: Any) -> list[tuple[int, Process]]:
        types = [column.type.dialect_impl(dialect) for column in self.columns]
        return [
            # An enumeration has few values, and looks each of them up in several steps.
            (place, lru_cache(process) if isinstance(kind, Enum) else process)
            for place, (kind, column) in enumerate(zip(types, found, strict=True))
            if (process := kind.result_processor(dialect, column[1])) is not None
        ]

    def _processed(self, row: Sequence[Any]) -> tuple[Any, ...]:
        values = list(row)
        for place, process in self._read or ():
            values[place] = process(values[place])
        return tuple(values)


def is_heard(connection: Connection) -> bool:
    """Tell whether somebody listens to what is executed on a connection, or has it changed."""
    if connection._echo or "schema_translate_map" in connection.get_execution_options():  # noqa: SLF001 - there is no public name
        return True
    # Which only ever becomes true, so that those who do not listen any more are asked once more.
    if not (connection._has_events or connection.engine._has_events):  # noqa: SLF001 - as above
        return False
    return any(getattr(connection.dispatch, name) for name in _TOLD)


_TOLD = ("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute")


def quick_of(statement: Select[Any], form: Form, dialect: Dialect) -> Quick | None:
    """Return what executes statements of a form; None: only SQLAlchemy can."""
    for part in iterate(statement):
        if isinstance(part, UpdateBase) or (isinstance(part, BindParameter) and part.expanding):
            return None
    # Literal values are written only where all parameters have values.
    blank = statement.params({bind.key: None for bind in form.binds if bind.required})
    try:
        compiled = blank.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        return Quick(compiled, dialect, form.binds)
    except (SQLAlchemyError, LookupError):
        return None


def _place(bind: BindParameter[Any], binds: Binds) -> int:
    """Return the place of a parameter, or of the one that it was copied from."""
    for place, one in enumerate(binds):
        if one in bind._cloned_set:  # noqa: SLF001 - as SQLAlchemy does for the same purpose
            return place
    raise LookupError(bind)


def _fail(
    connection: Connection, error: BaseException, sql: str, values: dict[str, Any], cursor: Any
) -> NoReturn:
    # Nothing public makes SQLAlchemy's error of the driver's, and asks those who listen to errors.
    connection._handle_dbapi_exception(error, sql, values, cursor, None)  # noqa: SLF001
