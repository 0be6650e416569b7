"""What ``alembic/env.py`` does: runs a command of Alembic on each shard in turn.

Alembic hands the command to us as a function that `run_migrations` calls, so what is
asked for is told by its options: ``destination_rev`` where the schema is to be changed,
``revision_context`` for ``check`` and ``revision --autogenerate``.
"""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext, suppress
from typing import Any

from alembic import context
from alembic.autogenerate import render_python_code
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, Engine, Index
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from elearning.cluster.migrations.access import check_database, owner_connection
from elearning.cluster.migrations.copies import let_go, reconcile_copies
from elearning.cluster.migrations.lock import migration_lock
from elearning.cluster.reconcile import reconcile, reconcile_statements
from elearning.config import Settings, Shard
from elearning.errors import ElearningError, MigrationError
from elearning.models import Base
from elearning.text import first_line

__all__ = ["LOCK_WAIT", "run"]

LOCK_WAIT = 60.0
"""Seconds that a migration waits for another one."""

_TRIES = 3
_PAUSE = 1.0  # seconds between two tries
_IN_THE_WAY = (LockNotAvailable, DeadlockDetected)
"""What an application's transactions do to a revision; it is tried again as a whole."""

logger = logging.getLogger("elearning.migrations")


def run() -> None:
    """Run the command that Alembic was given.

    ``-x shard=eu`` or ``-x region=africa`` picks a shard. The caller may set
    ``config.attributes``: ``settings``, ``lock_wait``, ``report``, or a ``connection``
    to run on in place of all shards.

    Raises:
        CommandError: it cannot be done; the message is one line for the operator.
    """
    try:
        connection = context.config.attributes.get("connection")
        if connection is not None:
            _run_on(connection)
        elif context.is_offline_mode():
            _print_statements(_chosen_shards())
        else:
            for shard in _chosen_shards():
                _run_on_shard(shard)
            reconcile_copies(context.config, context.get_context().opts)
    except ElearningError as error:
        raise CommandError(str(error)) from error
    except SQLAlchemyError as error:
        raise CommandError(first_line(error)) from error


def _chosen_shards() -> tuple[Shard, ...]:
    config = context.config
    if config.get_main_option("sqlalchemy.url"):
        problem = "sqlalchemy.url is not read, the settings name the shards: see .env.example"
        raise MigrationError(shard="all", problem=problem)
    settings: Settings = config.attributes.get("settings") or Settings.load()
    given = [each.partition("=")[0] for each in context.get_x_argument()]
    if len(set(given)) < len(given):
        raise MigrationError(shard="all", problem=f"-x {given[0]}= can be given once")
    asked = context.get_x_argument(as_dictionary=True)
    if strange := sorted(asked.keys() - {"shard", "region"}):
        raise MigrationError(
            shard="all", problem=f"-x {strange[0]} is unknown: there are -x shard= and -x region="
        )
    if "shard" in asked and "region" in asked:
        raise MigrationError(shard="all", problem="-x shard= and -x region= exclude each other")
    if "shard" in asked:
        return (settings.shard(str(asked["shard"])),)
    if "region" in asked:
        return (settings.home(str(asked["region"])),)
    return settings.shards


def _options() -> dict[str, Any]:
    return {
        "target_metadata": Base.metadata,
        "include_object": _include,
        "transaction_per_migration": True,
        "process_revision_directives": _same_on_every_shard,
    }


def _include(thing: object, _name: str | None, kind: str, *others: object) -> bool:
    _, reflected = others
    if kind == "index" and isinstance(thing, Index) and reflected is not None:
        # SQLAlchemy reads no collations of indexes; `elearning migrate --check` compares them.
        return not any("COLLATE" in str(each) for each in thing.expressions)
    # System columns (xmin) are PostgreSQL's.
    return not (kind == "column" and getattr(thing, "system", False))


def _same_on_every_shard(
    migration: MigrationContext, _: object, directives: list[MigrationScript]
) -> None:
    """Keep one of the revisions that autogenerate has found, shard after shard."""
    # They are compared as text: two columns are never equal, however alike they are.
    apart = MigrationContext.configure(dialect=migration.dialect)
    for script in directives:
        steps = zip(script.upgrade_ops_list, script.downgrade_ops_list, strict=True)
        texts = {
            tuple(render_python_code(step, migration_context=apart) for step in both)
            for both in steps
        }
        if len(texts) > 1:
            raise MigrationError(
                shard="all",
                problem="the shards differ from each other: 'elearning migrate --check' tells how",
            )
        del script.upgrade_ops_list[1:], script.downgrade_ops_list[1:]


def _run_on(connection: Connection | Engine) -> None:
    with connection.connect() if isinstance(connection, Engine) else nullcontext(connection) as it:
        context.configure(connection=it, **_options())
        _run_migrations()


def _run_on_shard(shard: Shard) -> None:
    config = context.config
    with owner_connection(shard) as connection:
        reached: list[str | None] = []
        context.configure(
            connection=connection,
            on_version_apply=lambda **step: reached.append(next(iter(step["heads"]), None)),
            **_options(),
        )
        options = context.get_context().opts
        if "destination_rev" in options:
            wait = config.attributes.get("lock_wait", LOCK_WAIT)
            with migration_lock(connection, shard.name, wait):
                _change(connection, shard, reached, stamps="purge" in options)
            return
        if "revision_context" not in options:
            config.print_stdout("shard %s:", shard.name)
        _check(connection, shard, writes=False)
        _run_migrations()


def _change(
    connection: Connection, shard: Shard, reached: list[str | None], *, stamps: bool
) -> None:
    """Upgrade, downgrade or stamp a shard; ``reached`` grows with each step."""
    before = _check(connection, shard, writes=True, stamps=stamps)
    let_go(connection, context.get_context().opts)
    failed = True
    try:
        _run_patiently(connection, shard, reached)
    except (SQLAlchemyError, ElearningError) as error:
        logger.debug("shard %s", shard.name, exc_info=True)
        _forget_uncommitted(connection, reached)
        at = (reached or [before])[-1] or "base"
        raise MigrationError(
            shard=shard.name, problem=f"stopped at {at}: {first_line(error)}"
        ) from error
    else:
        failed = False
    finally:
        _report(shard, before, reached, failed=failed)


def _run_patiently(connection: Connection, shard: Shard, reached: list[str | None]) -> None:
    """Run the migrations and what follows them; where an application is in the way, again."""
    for left in reversed(range(_TRIES)):
        try:
            _run_migrations()
            connection.rollback()
            if context.get_context().get_current_revision() == context.get_head_revision():
                connection.rollback()
                with connection.begin():
                    reconcile(connection, shard)
        except OperationalError as error:
            if not left or not isinstance(error.orig, _IN_THE_WAY):
                raise
            _forget_uncommitted(connection, reached)
            logger.warning("shard %s: tried again, for %s", shard.name, first_line(error))
            time.sleep(_PAUSE)
        else:
            return


def _forget_uncommitted(connection: Connection, reached: list[str | None]) -> None:
    """Take back the last step where its COMMIT was what failed: it was noted before that."""
    with suppress(SQLAlchemyError, ElearningError):
        connection.rollback()
        now = context.get_context().get_current_revision()
        if reached and reached[-1] != now:
            reached.pop()


def _run_migrations() -> None:
    with context.begin_transaction():
        context.run_migrations()


def _report(shard: Shard, before: str | None, reached: list[str | None], *, failed: bool) -> None:
    """Tell the caller, or the operator, which revision was reached by how many steps."""
    after = reached[-1] if reached else before
    config = context.config
    if "report" in config.attributes:
        config.attributes["report"](before, after, len(reached))
    elif not failed:
        done = f"{len(reached)} revision(s) run" if reached else "nothing to do"
        config.print_stdout("%s: at %s, %s", shard.name, after or "base", done)


def _check(
    connection: Connection, shard: Shard, *, writes: bool, stamps: bool = False
) -> str | None:
    known = {script.revision for script in context.script.walk_revisions()}
    head = context.script.get_current_head() or "base"
    return check_database(connection, shard, known, head, writes=writes, stamps=stamps)


def _print_statements(shards: tuple[Shard, ...]) -> None:
    if len(shards) > 1:
        raise MigrationError(
            shard="all", problem="--sql prints the statements of one shard: add -x shard=NAME"
        )
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        **_options(),
    )
    with context.begin_transaction():
        context.run_migrations()
    if context.get_revision_argument() == context.get_head_revision():
        with context.begin_transaction():
            for statement in reconcile_statements(shards[0]):
                context.execute(statement)
