"""The connection that migrates a shard, and what must be true of its database."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, event, pool, text
from sqlalchemy.exc import SQLAlchemyError

from elearning.cluster.migrations.watch import watched
from elearning.config import Shard, address_of
from elearning.errors import (
    ElearningError,
    ForeignDatabase,
    MigrationError,
    RightsMissing,
    ShardAhead,
)
from elearning.models import Base
from elearning.routing.failures import failure_handler
from elearning.routing.node import Node, Role, ShardState

__all__ = ["check_database", "owner_connection"]

_CONNECT_TIMEOUT = 5  # seconds

_FACTS = text("""
    SELECT current_user, current_database(), current_schema(), pg_is_in_recovery() AS replica,
           has_schema_privilege(to_regnamespace('public'), 'CREATE') AS creates,
           to_regclass('public.hosted_regions') IS NOT NULL AS ours,
           to_regclass('public.alembic_version') IS NOT NULL AS versioned,
           has_table_privilege(to_regclass('public.alembic_version'), 'SELECT') AS reads
""")
_VERSIONS = text("SELECT version_num FROM public.alembic_version ORDER BY version_num")
_TABLES = text("""
    SELECT relname FROM pg_class
    WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p', 'v', 'm', 'f')
        AND relname <> 'alembic_version'
        AND NOT EXISTS (SELECT FROM pg_depend
                        WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                            AND deptype = 'e')
    ORDER BY relname
""")
_NOT_OWNED = text("""
    SELECT relname FROM pg_class
    WHERE relnamespace = to_regnamespace('public') AND relname = ANY (:names)
        AND NOT pg_has_role(relowner, 'USAGE')
    ORDER BY relname LIMIT 1
""")


@contextmanager
def owner_connection(shard: Shard) -> Iterator[Connection]:
    """Connect to a shard's primary as the role that migrates.

    Raises:
        NodeUnavailable: it does not answer, or stops doing so.
    """
    url = shard.owner_url
    node = Node(shard.nodes[0][0], shard.name, Role.PRIMARY, ShardState(), address_of(url))
    node.engine = create_engine(
        url,
        poolclass=pool.NullPool,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT, "application_name": "elearning migrate"},
        hide_parameters=True,
    )
    event.listen(node.engine, "handle_error", failure_handler(node, url.username or "?"))
    with node.engine.connect() as connection, watched(connection, url) as silent:
        try:
            yield connection
        except (ElearningError, SQLAlchemyError) as error:
            if silent.is_set():
                problem = "it stopped answering in the middle"
                raise node.unavailable(problem) from error
            raise


def check_database(
    connection: Connection,
    shard: Shard,
    known: Collection[str],
    head: str,
    *,
    writes: bool,
    stamps: bool = False,
) -> str | None:
    """Return the revision that a shard is at; None: it is empty.

    Args:
        connection: as the role that migrates.
        shard: the shard.
        known: the revisions that there are.
        head: the newest of them.
        writes: whether the schema is to be changed.
        stamps: whether the record of the revision is to be corrected: then it may be
            missing, or strange.

    Raises:
        ShardAhead: it is at a revision that is not known.
        ForeignDatabase: it holds tables, and no revision of ours.
        RightsMissing: the role could not change it.
        MigrationError: it is a replica, or ours without a revision.
    """
    try:
        facts = connection.execute(_FACTS).one()
        where = {
            "shard": shard.name,
            "database": facts.current_database,
            "address": address_of(shard.owner_url),
        }
        rights = where | {
            "role": facts.current_user,
            "variable": f"ELEARNING_SHARD_{shard.name.upper()}_OWNER",
        }
        if facts.replica and writes:
            raise MigrationError(
                shard=shard.name,
                problem=f"{where['address']} is a replica: {rights['variable']} must lead to the "
                "primary",
            )
        if facts.versioned and not facts.reads:
            raise RightsMissing(**rights, action="read the table alembic_version")
        revisions = list(connection.scalars(_VERSIONS)) if facts.versioned else []
        if not facts.ours and revisions:
            found = f"the revision {revisions[0]} of another history"
            raise ForeignDatabase(**where, found=found)
        unknown = [revision for revision in revisions if revision not in known]
        if unknown and not stamps:
            raise ShardAhead(shard=shard.name, found=", ".join(unknown), head=head)
        if not revisions and not (stamps and facts.ours):
            _check_empty(connection, where, ours=facts.ours)
        if writes:
            _check_rights(connection, rights, schema=facts.current_schema, creates=facts.creates)
        return revisions[0] if revisions else None
    finally:
        connection.rollback()


def _check_empty(connection: Connection, where: dict[str, str], *, ours: bool) -> None:
    tables = list(connection.scalars(_TABLES))
    if ours:
        raise MigrationError(
            shard=where["shard"],
            problem=f"{where['database']} holds our tables, but no record of their revision: "
            f"'alembic -x shard={where['shard']} stamp REVISION' writes it",
        )
    if tables:
        found = ", ".join(tables[:3])
        more = f" and {len(tables) - 3} more" if len(tables) > 3 else ""  # noqa: PLR2004
        raise ForeignDatabase(**where, found=f"{found}{more}")


def _check_rights(
    connection: Connection, rights: dict[str, str], *, schema: str | None, creates: bool | None
) -> None:
    if not creates:
        raise RightsMissing(**rights, action="create tables in the schema public")
    if schema != "public":
        raise MigrationError(
            shard=rights["shard"],
            problem=f"the search_path of {rights['role']} leads to the schema {schema}: "
            "tables are made in public, so it must come first",
        )
    names = [*Base.metadata.tables, "alembic_version"]
    strange = connection.scalar(_NOT_OWNED, {"names": names})
    if strange is not None:
        raise RightsMissing(**rights, action=f"change the table {strange}")
