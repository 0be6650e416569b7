"""Runs a command of Alembic on every shard, one after the other.

``-x shard=eu`` picks one. Settings come from the environment, `.env` or the
running embedded cluster, or from the caller: ``config.attributes["settings"]``.
"""

from __future__ import annotations

from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine, pool

from elearning.cluster.reconcile import host_regions
from elearning.config import Settings, Shard
from elearning.errors import MigrationError
from elearning.models import Base

config = context.config
if config.config_file_name is not None and "settings" not in config.attributes:
    # On the command line only, and without silencing an application's loggers.
    fileConfig(config.config_file_name, disable_existing_loggers=False)


def chosen_shards() -> tuple[Shard, ...]:
    """Return all shards, or the one that ``-x shard=`` names."""
    settings: Settings = config.attributes.get("settings") or Settings.load()
    name = context.get_x_argument(as_dictionary=True).get("shard")
    return settings.shards if name is None else (settings.shard(name),)


def include_object(thing: object, _name: str | None, kind: str, *_: object) -> bool:
    """Leave system columns (xmin) to PostgreSQL."""
    return not (kind == "column" and getattr(thing, "system", False))


def migrate_online(shard: Shard) -> None:
    """Run the command on one shard's primary."""
    applied: list[str] = []
    engine = create_engine(
        shard.owner_url, poolclass=pool.NullPool, connect_args={"connect_timeout": 5}
    )
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_object=include_object,
            transaction_per_migration=True,
            on_version_apply=lambda **step: applied.append(step["step"].up_revision_id),
        )
        with context.begin_transaction():
            context.run_migrations()
        head = context.get_context().get_current_revision()
        connection.rollback()
        if applied and head is not None:
            with connection.begin():
                host_regions(connection, shard)
        done = f"{len(applied)} revision(s) run" if applied else "nothing to do"
        if "report" in config.attributes:
            config.attributes["report"](shard.name, head, applied)
        else:
            config.print_stdout("%s: at %s, %s", shard.name, head or "base", done)


def migrate_offline(shard: Shard) -> None:
    """Print the statements for one shard."""
    context.configure(
        url=shard.owner_url.render_as_string(hide_password=False),
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


shards = chosen_shards()
if context.is_offline_mode():
    if len(shards) > 1:
        raise MigrationError(
            shard="all", problem="--sql prints the statements of one shard: add -x shard=NAME"
        )
    migrate_offline(shards[0])
else:
    for each in shards:
        migrate_online(each)
