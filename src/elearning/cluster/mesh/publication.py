"""A shard's publication: the rows of its regions, with the columns that are copied."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from psycopg import sql

from elearning.cluster.mesh.connecting import Connection, value
from elearning.config import Shard
from elearning.models.publication import PUBLICATION, copied_tables

__all__ = ["is_current", "publication_id", "publish", "unpublish"]

_ID = "SELECT oid::bigint FROM pg_publication WHERE pubname = %s"
_NOTE = "SELECT obj_description(oid, 'pg_publication') FROM pg_publication WHERE pubname = %s"
# As the server understands it: also what somebody has changed by hand is seen.
_ACTUAL = """
    SELECT concat_ws(' ', p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate,
        (SELECT string_agg(concat_ws(' ', schemaname, tablename, attnames, rowfilter), ';'
                           ORDER BY schemaname, tablename)
         FROM pg_publication_tables AS t WHERE t.pubname = p.pubname))
    FROM pg_publication AS p WHERE p.pubname = %s
"""


def _codes(shard: Shard) -> Iterable[int]:
    return [region.code for region in shard.regions]


def _definition(shard: Shard) -> str:
    """Return the tables as CREATE PUBLICATION takes them.

    The columns are named: one that a later release adds is published when every shard has it.
    """
    return ", ".join(
        f"TABLE public.{table.name} ({', '.join(table.columns)}) "
        f"WHERE ({table.rows_of(_codes(shard))})"
        for table in copied_tables()
    )


def _digest(text: object) -> str:
    return sha256(str(text).encode()).hexdigest()[:16]


def _note(connection: Connection, shard: Shard) -> str:
    actual = value(connection, _ACTUAL, PUBLICATION)
    return f"of {_digest(_definition(shard))}, seen as {_digest(actual)}"


def publication_id(connection: Connection) -> int | None:
    """Return what tells this publication from one of the same name that came before."""
    found = value(connection, _ID, PUBLICATION)
    return None if found is None else int(found)


def is_current(connection: Connection, shard: Shard) -> bool:
    """Tell whether a shard publishes what it should."""
    noted = value(connection, _NOTE, PUBLICATION)
    if not shard.regions:
        return publication_id(connection) is None
    return bool(noted) and noted == _note(connection, shard)


def unpublish(connection: Connection) -> None:
    """Publish nothing."""
    connection.execute(f"DROP PUBLICATION IF EXISTS {PUBLICATION}".encode())


def publish(connection: Connection, shard: Shard) -> None:
    """Publish the rows of a shard's regions, under a new publication.

    A new one, and not ALTER: whoever has subscribed to the former one is known by that, and is
    brought in line, also where this is cut off.
    """
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '3s'")
        unpublish(connection)
        # TRUNCATE knows no row filters, and would go round for ever.
        connection.execute(
            f"CREATE PUBLICATION {PUBLICATION} FOR {_definition(shard)} "
            "WITH (publish = 'insert, update, delete')".encode()
        )
        connection.execute(
            sql.SQL("COMMENT ON PUBLICATION {} IS {}").format(
                sql.Identifier(PUBLICATION), sql.Literal(_note(connection, shard))
            )
        )
