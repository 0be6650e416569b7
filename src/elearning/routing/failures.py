"""From an error of the driver to one of `elearning.errors`.

Every engine of `Engines` passes its errors through here: what a routine or a
trigger refuses, and a node that does not answer, comes out as an error of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from psycopg import Error
from psycopg.errors import CheckViolation, InsufficientPrivilege, NotNullViolation
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import StatementError

from elearning.errors import ElearningError, NodeUnavailable, NotPermitted

__all__ = ["failure_handler"]


def failure_handler(name: str, address: str, role: str) -> Callable[[ExceptionContext], None]:
    """Return a listener for the event ``handle_error`` of a node's engine.

    Args:
        name: the node's name.
        address: its host and port, without user and password.
        role: as whom it is reached.
    """

    def handle(context: ExceptionContext) -> None:
        error = context.original_exception
        # The pre-ping must see the driver's own error: it replaces the connection. And a
        # cancelled task, a timeout or Ctrl-C is no error of the node.
        if context.is_pre_ping or not isinstance(error, Exception):
            return
        if context.connection is None or context.is_disconnect:
            raise NodeUnavailable(node=name, address=address, problem=_first_line(error)) from error
        if isinstance(error, InsufficientPrivilege):
            raise NotPermitted(node=name, role=role, problem=_first_line(error)) from error
        if isinstance(error, CheckViolation | NotNullViolation):
            _hide_row(error, context.sqlalchemy_exception)
        if isinstance(error, Error) and (ours := _BY_SQLSTATE.get(error.sqlstate or "")):
            raise ours(**json.loads(error.diag.message_detail or "{}")) from error

    return handle


def _hide_row(error: Error, wrapped: StatementError | None) -> None:
    """Leave out DETAIL, the whole row that was refused: it may hold a password's hash."""
    whole, message = str(error), error.diag.message_primary or ""
    error.args = (message,)
    if wrapped is not None:
        wrapped.args = tuple(str(each).replace(whole, message) for each in wrapped.args)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no answer"


def _with_sqlstate(cls: type[ElearningError]) -> dict[str, type[ElearningError]]:
    found = {} if cls.sqlstate is None else {cls.sqlstate: cls}
    for subclass in cls.__subclasses__():
        found |= _with_sqlstate(subclass)
    return found


_BY_SQLSTATE = _with_sqlstate(ElearningError)
