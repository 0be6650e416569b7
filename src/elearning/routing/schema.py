"""Tells at once when a shard's schema is not the one that the code is written for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable
from sqlalchemy.engine.interfaces import DBAPIConnection

from elearning.errors import SchemaMismatch
from elearning.models import HEAD, REVISIONS

__all__ = ["check_revision", "read_revision", "schema_checker"]


class _Readable(Protocol):
    """A connection of SQLAlchemy's pool, or one of the driver."""

    def cursor(self) -> Any: ...

    def rollback(self) -> None: ...


logger = logging.getLogger("elearning.routing")


def check_revision(shard: str, revision: str | None) -> None:
    """Compare a shard's revision with the one that this release is written for.

    A newer one is a warning: revisions are made so that the release before them goes on
    working while the new one is rolled out.

    Args:
        shard: its name.
        revision: that it is at; None: it was never migrated.

    Raises:
        SchemaMismatch: the schema is older.
    """
    if revision == HEAD:
        return
    if revision is None or revision in REVISIONS:
        raise SchemaMismatch(shard=shard, found=revision or "none", expected=HEAD)
    logger.warning(
        "shard %s is at revision %s, newer than this release, which is written for %s",
        shard,
        revision,
        HEAD,
    )


def schema_checker(shard: str) -> Callable[[DBAPIConnection, object], None]:
    """Return a listener for the event ``connect`` of a primary's engine.

    It looks until the schema was right once, so the first connection of a process tells.
    """
    checked = False

    def check(connection: DBAPIConnection, _: object) -> None:
        nonlocal checked
        if checked:
            return
        try:
            check_revision(shard, read_revision(connection))
        except SchemaMismatch:
            connection.close()
            raise
        checked = True

    return check


def read_revision(connection: _Readable) -> str | None:
    """Return the revision that a database is at; None: none, or none to be seen."""
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT max(version_num) FROM public.alembic_version")
            row = cursor.fetchone()
        return row[0] if row else None
    except (UndefinedTable, UndefinedColumn, InsufficientPrivilege):
        # Nobody but a migration grants the right to look.
        return None
    finally:
        connection.rollback()
