"""From an error of the driver to one of `elearning.errors`.

Every engine of `Engines` passes its errors through here: what a routine or a
trigger refuses, and a node that does not answer, comes out as an error of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from psycopg import Error
from psycopg.errors import (
    CheckViolation,
    DeadlockDetected,
    InsufficientPrivilege,
    NotNullViolation,
)
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import StatementError

from elearning.errors import Deadlock, ElearningError, NotPermitted
from elearning.text import first_line

if TYPE_CHECKING:
    from elearning.routing.node import Node

__all__ = ["failure_handler", "was_answered"]

# PostgreSQL manual, appendix A: the server goes, or is not there yet (admin_shutdown,
# crash_shutdown, cannot_connect_now). The driver sees closed connections only.
_GOING = frozenset({"57P01", "57P02", "57P03"})
_READ_ONLY = "25006"
# A conflict with what is replayed (as serialization_failure or deadlock_detected), or a
# statement that writes after all: of the replica, not of the statement.
_OF_REPLICAS = frozenset({"40001", "40P01", _READ_ONLY})


def failure_handler(node: Node, user: str) -> Callable[[ExceptionContext], None]:
    """Return a listener for the event ``handle_error`` of a node's engine.

    Args:
        node: the node.
        user: as whom it is reached.
    """
    is_replica = node.role == "replica"

    def handle(context: ExceptionContext) -> None:
        error = context.original_exception
        # A cancelled task, a timeout or Ctrl-C is no error of the node.
        if not isinstance(error, Exception):
            return
        state = (error.sqlstate if isinstance(error, Error) else None) or ""
        if state in _GOING or (state == _READ_ONLY and not is_replica and _was_demoted(context)):
            # Nobody is given this connection again.
            context.is_disconnect = True
        if context.connection is None or context.is_disconnect:
            raise node.unavailable(first_line(error)) from error
        if is_replica and state in _OF_REPLICAS:
            raise node.unavailable(first_line(error)) from error
        if isinstance(error, InsufficientPrivilege):
            raise NotPermitted(node=node.name, role=user, problem=first_line(error)) from error
        if isinstance(error, DeadlockDetected):
            raise Deadlock(node=node.name) from error
        if isinstance(error, CheckViolation | NotNullViolation):
            _hide_row(error, context.sqlalchemy_exception)
        if isinstance(error, Error) and (ours := _BY_SQLSTATE.get(state)):
            raise ours(**json.loads(error.diag.message_detail or "{}")) from error

    return handle


def was_answered(error: Error) -> bool:
    """Tell whether a server was there and refused this connection alone."""
    return "FATAL" in str(error) and "the database system is" not in str(error)


def _was_demoted(context: ExceptionContext) -> bool:
    """Tell a primary that became a replica from a transaction that was begun as read-only."""
    if context.connection is None:
        return False
    wire = context.connection.connection.info.get("wire")
    return wire is not None and wire.is_replica() is True


def _hide_row(error: Error, wrapped: StatementError | None) -> None:
    """Leave out DETAIL, the whole row that was refused: it may hold a password's hash."""
    whole, message = str(error), error.diag.message_primary or ""
    error.args = (message,)
    if wrapped is not None:
        wrapped.args = tuple(str(each).replace(whole, message) for each in wrapped.args)


def _with_sqlstate(cls: type[ElearningError]) -> dict[str, type[ElearningError]]:
    found = {} if cls.sqlstate is None else {cls.sqlstate: cls}
    for subclass in cls.__subclasses__():
        found |= _with_sqlstate(subclass)
    return found


_BY_SQLSTATE = _with_sqlstate(ElearningError)
