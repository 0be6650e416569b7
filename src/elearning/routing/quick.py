"""Statements that psycopg executes by itself, on the connection that SQLAlchemy holds.

For each execution SQLAlchemy makes a context and a result, which takes about as long as psycopg
does for a short statement. What they find out is the same for all statements of a form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from sqlalchemy import Cast, Connection, Dialect, Enum, FromClause, Select, SelectBase, UpdateBase
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import BindParameter, ColumnClause, TextClause
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import ExternallyTraversible, iterate

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
        LookupError: parameters cannot be told apart by their names.
    """

    def __init__(self, compiled: Any, dialect: Dialect, binds: Binds) -> None:
        names = compiled.bind_names
        if compiled.escaped_bind_names or len({*names.values()}) < len(names):
            raise LookupError(names)
        self.columns = tuple(compiled._result_columns)  # noqa: SLF001 - nothing public has them
        self._sql = str(compiled)
        places = [(name, bind, _place(bind, binds)) for bind, name in names.items()]
        written = compiled.literal_execute_params
        self._written = [(name, place) for name, bind, place in places if bind in written]
        self._sent = [(name, place) for name, bind, place in places if bind not in written]
        self._bound = [
            (name, process)
            for name, bind, _ in places
            if bind not in written
            and (process := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        ]
        self._read: list[tuple[int, Process]] | None = None

    def values(self, binds: Binds, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the values of a statement's parameters; None: SQLAlchemy has to find them.

        Args:
            binds: the parameters of the statement, as `Form` has them.
            given: values that come with this execution.
        """
        for name, place in self._written:
            if binds[place].required or binds[place].key in given or name in given:
                return None
        values = {}
        for name, place in self._sent:
            bind = binds[place]
            if bind.key in given:
                values[name] = given[bind.key]
            elif name in given:
                values[name] = given[name]
            elif bind.required or bind.callable:
                return None
            else:
                values[name] = bind.value
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
        try:
            for name, process in self._bound:
                values[name] = process(values[name])
        except Exception as error:  # noqa: BLE001 - SQLAlchemy raises it
            _fail(connection, error, self._sql, values)
        cursor = connection.connection.cursor()
        told: str | None = self._sql
        try:
            cursor.execute(self._sql, values)
            told = None  # what cannot be read is not said of the statement
            rows: list[Any] = list(cursor.fetchmany(most) if most else cursor.fetchall())
        except BaseException as error:  # noqa: BLE001 - as above
            of_driver = isinstance(error, connection.dialect.loaded_dbapi.Error)
            _fail(connection, error, told if of_driver else None, values, cursor)
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
    """Tell whether somebody listens to what is executed, has it changed, or has ended it."""
    told = connection.dialect.dispatch
    if (
        connection._echo  # noqa: SLF001 - there is no public name
        or told.do_execute
        or told.do_execute_no_params
        or "schema_translate_map" in connection.get_execution_options()
        or not connection.in_transaction()
        or (connection.get_nested_transaction() and not connection.in_nested_transaction())
    ):
        return True
    # Which only ever becomes true, so that those who do not listen any more are asked once more.
    if not (connection._has_events or connection.engine._has_events):  # noqa: SLF001 - as above
        return False
    return any(getattr(connection.dispatch, name) for name in _TOLD)


_TOLD = ("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute")


def quick_of(statement: Select[Any], form: Form, dialect: Dialect) -> Quick | None:
    """Return what executes statements of a form; None: only SQLAlchemy can."""
    text = any(_is_text(column) for column in statement._raw_columns)  # noqa: SLF001 - as above
    if text or any(
        isinstance(part, UpdateBase) or (isinstance(part, BindParameter) and part.expanding)
        for part in iterate(statement)
    ):
        return None
    # Literal values are written only where all parameters have values.
    blank = statement.params({bind.key: None for bind in form.binds if bind.required})
    try:
        compiled = blank.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        return Quick(compiled, dialect, form.binds)
    except (SQLAlchemyError, LookupError):
        return None


def _is_text(part: ExternallyTraversible) -> bool:
    """Tell whether a column is made of text, which may be several columns."""
    if isinstance(part, TextClause) or (isinstance(part, ColumnClause) and part.is_literal):
        return True
    # In these it stands in brackets, as in count(*).
    closed = isinstance(part, FunctionElement | Cast | SelectBase | FromClause)
    return not closed and any(_is_text(each) for each in part.get_children())


def _place(bind: BindParameter[Any], binds: Binds) -> int:
    """Return the place of a parameter, or of the one that it was copied from."""
    for place, one in enumerate(binds):
        if one in bind._cloned_set:  # noqa: SLF001 - as SQLAlchemy does for the same purpose
            return place
    raise LookupError(bind)


def _fail(
    connection: Connection,
    error: BaseException,
    sql: str | None,
    values: dict[str, Any],
    cursor: Any = None,
) -> NoReturn:
    # Nothing public makes SQLAlchemy's error of the driver's, and asks those who listen to errors.
    connection._handle_dbapi_exception(  # noqa: SLF001
        error, sql, None if sql is None else values, cursor, None
    )
