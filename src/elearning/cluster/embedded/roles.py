"""The database and the roles of a new primary."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import psycopg
from psycopg import sql

from elearning.cluster.embedded.credentials import SUPERUSER
from elearning.cluster.embedded.ports import LOOPBACK

__all__ = ["connect", "set_up"]

# A failing statement is written to the log with its text, and that may hold a password.
QUIET = "SET log_statement = 'none'; SET log_min_error_statement = 'panic'"


def connect(
    port: int, password: str, database: str = "postgres", *, role: str = SUPERUSER, seconds: int = 5
) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to a server of the cluster, in autocommit mode."""
    return psycopg.connect(
        host=LOOPBACK,
        port=port,
        user=role,
        password=password,
        dbname=database,
        connect_timeout=seconds,
        application_name="elearning cluster",
        autocommit=True,
    )


def set_up(port: int, password: str, database: str, passwords: Mapping[str, str]) -> None:
    """Create a shard's database and roles; running it again changes nothing.

    Args:
        port: of the primary.
        password: the superuser's.
        database: to create.
        passwords: of each role.
    """
    with connect(port, password) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [database])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    statements = resources.files("elearning.cluster").joinpath("roles.sql").read_bytes()
    with connect(port, password, database) as connection:
        connection.execute(statements)
        connection.execute(QUIET)
        for role, secret in passwords.items():
            # As the verifier that the server would store: it never sees the password itself.
            verifier = connection.pgconn.encrypt_password(
                secret.encode(), role.encode(), b"scram-sha-256"
            )
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(verifier.decode())
                )
            )
