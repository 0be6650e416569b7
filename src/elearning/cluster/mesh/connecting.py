"""Connections that arrange the copies, and what is asked on them."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import URL

from elearning.config import Shard, address_of, connect_options
from elearning.errors import MeshError
from elearning.text import first_line

__all__ = [
    "FAILOVER_SINCE",
    "Connection",
    "connect_owner",
    "connect_replicator",
    "conninfo",
    "place",
    "problem_of",
    "timeline",
    "value",
]

Connection = psycopg.Connection[tuple[Any, ...]]

FAILOVER_SINCE = 170000
"""The release of PostgreSQL since which a slot may survive a promotion."""

_CONNECT_TIMEOUT = 5  # seconds
# A failing statement is written to the log with its text, and CREATE SUBSCRIPTION's holds a
# password.
_QUIET = (
    "SET log_min_error_statement = 'panic'",
    "SET log_statement = 'none'",
    "SET log_min_duration_statement = -1",
)
_TIMELINE = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer"


def connect_owner(shard: Shard) -> Connection:
    """Connect to a shard's primary as the role that migrates, so that no password is logged.

    Raises:
        MeshError: the role may not keep its statements out of the log.
    """
    connection = _connect(shard.owner_url)
    try:
        for statement in _QUIET:
            connection.execute(statement)
    except InsufficientPrivilege:
        connection.close()
        raise MeshError(
            problem=f"the role {shard.owner_url.username} on {shard.name} may not keep passwords "
            "out of the server's log: let a superuser run roles.sql of this release there"
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


def connect_replicator(shard: Shard) -> Connection:
    """Connect to a shard's primary as the role that owns its slots.

    At the address that the owner uses, for the other one may be for servers alone.
    """
    account = shard.replication or shard.owner_url
    return _connect(shard.owner_url.set(username=account.username, password=account.password))


def _connect(url: URL) -> Connection:
    options = connect_options(url)
    options |= {"connect_timeout": _CONNECT_TIMEOUT, "application_name": "elearning mesh"}
    return psycopg.connect(**options, autocommit=True)


def conninfo(url: URL) -> str:
    """Return how a subscriber's server connects; it holds the password."""
    return make_conninfo("", **{"connect_timeout": _CONNECT_TIMEOUT} | connect_options(url))


def place(url: URL) -> str:
    """Return where a URL leads and as whom, without the password."""
    return f"{url.username}@{address_of(url)}/{url.database}"


def timeline(connection: Connection) -> int:
    """Return the number of a primary's history, which each promotion raises."""
    return int(value(connection, _TIMELINE))


def value(connection: Connection, statement: str, *values: object) -> Any:
    """Return the one value of a query; None: no row."""
    row = connection.execute(statement.encode(), values or None).fetchone()
    return row[0] if row else None


def problem_of(error: BaseException, *urls: URL | None) -> str:
    """Return an error's first line, without the passwords of some URLs."""
    line = first_line(error)
    for url in urls:
        if url is not None and url.password:
            line = line.replace(str(url.password), "***")
    return line
