"""From an error of the database's routines to one of `elearning.errors`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Error
from sqlalchemy.exc import DBAPIError

from elearning.errors import ElearningError

__all__ = ["translated_errors"]


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise a routine's own errors as the classes that carry their SQLSTATE."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig
        known = _by_sqlstate().get(cause.sqlstate or "") if isinstance(cause, Error) else None
        if known is None or not isinstance(cause, Error):
            raise
        raise known(**json.loads(cause.diag.message_detail or "{}")) from error


def _by_sqlstate() -> dict[str, type[ElearningError]]:
    found: dict[str, type[ElearningError]] = {}
    todo: list[type[ElearningError]] = [ElearningError]
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        if cls.sqlstate is not None:
            found[cls.sqlstate] = cls
    return found
