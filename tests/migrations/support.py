"""What the tests of the migrations share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alembic.config import main as alembic_main
from sqlalchemy import URL, create_engine, make_url, pool

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.embedded.processes import wait_until
from elearning.cluster.migrations import check_drift, migrate
from elearning.cluster.migrations.catalog import read_catalog
from elearning.cluster.migrations.lock import LOCK_KEY
from elearning.config import Settings, Shard
from elearning.models import HEAD
from elearning.regions import Region
from tests.children import run_child
from tests.snapshots import connect

ROOT = Path(__file__).resolve().parents[2]
REGIONS = {"na": tuple(Region)[:4], "eu": tuple(Region)[4:], "asia": (), "oldest": tuple(Region)}
"""What the shards of `databases` host, on the servers of these names."""
WAIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Done:
    """What a command line has left behind."""

    code: int
    out: str
    err: str


Elearning = Callable[..., Done]
Known = dict[str, dict[str, str]]
"""The schema at each revision; at "base" there is none."""


@contextmanager
def databases(
    cluster: EmbeddedCluster,
    settings: Settings,
    name: str,
    *shards: str,
    template: str | None = None,
) -> Iterator[Settings]:
    """Make a database of this name on some primaries, and settings that lead to them."""
    made: list[Shard] = []
    with ExitStack() as stack:
        for shard in shards:
            stack.enter_context(database(cluster, shard, name, template=template))
            made.append(shard_of(settings, shard, name))
        yield replace(settings, shards=tuple(made))


def shard_of(settings: Settings, shard: str, name: str) -> Shard:
    """Return the shard that a database of this name makes."""
    there = settings.shard(shard)
    owner = there.owner_url.set(database=name)
    return Shard(shard, REGIONS[shard], there.primary.set(database=name), owner=owner)


@contextmanager
def database(
    cluster: EmbeddedCluster, shard: str, name: str, *, template: str | None = None
) -> Iterator[None]:
    """Make a database on a primary; it is empty, or a copy of another one."""
    with connect(superuser(cluster, shard)) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        copied = f" TEMPLATE {template}" if template else ""
        connection.execute(f"CREATE DATABASE {name} OWNER elearning_owner{copied}")
    try:
        yield
    finally:
        # Connected anew: a test may have killed the server meanwhile.
        with connect(superuser(cluster, shard)) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def superuser(cluster: EmbeddedCluster, shard: str, name: str | None = None) -> URL:
    url = make_url(cluster.url(f"{shard}-primary", "postgres"))
    return url if name is None else url.set(database=name)


def rows(url: URL, statement: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(statement).fetchall()


def execute(url: URL, *statements: str) -> None:
    with connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def catalog(shard: Shard) -> dict[str, str]:
    """Return all that a shard's schema consists of."""
    engine = create_engine(shard.owner_url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        return read_catalog(connection)


def schema(shard: Shard) -> dict[str, str]:
    """Return what revisions make: neither the record of them nor grants, which come last."""
    return {
        name: definition
        for name, definition in catalog(shard).items()
        if not name.startswith("grant ") and "alembic_version" not in name
    }


def revision(shard: Shard) -> str | None:
    """Return what the table of revisions says."""
    found = rows(shard.owner_url, "SELECT to_regclass('public.alembic_version') IS NOT NULL")
    if found == [(False,)]:
        return None
    versions = rows(shard.owner_url, "SELECT version_num FROM alembic_version")
    assert len(versions) <= 1
    return versions[0][0] if versions else None


def hosted(shard: Shard) -> list[int]:
    found = rows(shard.owner_url, "SELECT region_code FROM hosted_regions ORDER BY 1")
    return [code for (code,) in found]


def drifts(settings: Settings) -> list[tuple[str, tuple[str, ...], str | None]]:
    """Return what `check_drift` finds, and only where it finds something."""
    return [
        (drift.shard, drift.differences, drift.error)
        for drift in check_drift(settings)
        if not drift.ok
    ]


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment that leads to these shards."""
    found = {
        "ELEARNING_SHARDS": " ".join(shard.name for shard in settings.shards),
        "ELEARNING_MONGODB_URL": settings.mongodb.url,
    }
    for shard in settings.shards:
        prefix = f"ELEARNING_SHARD_{shard.name.upper()}_"
        found[prefix + "REGIONS"] = " ".join(shard.regions)
        found[prefix + "PRIMARY"] = shard.primary.render_as_string(hide_password=False)
        found[prefix + "OWNER"] = shard.owner_url.render_as_string(hide_password=False)
    return found


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a child process, which is not measured: that is slow."""
    hidden = ("ELEARNING", "COVERAGE")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return plain | variables(settings)


def alembic(settings: Settings, *words: str) -> Done:
    """Run the command as an Alembic user does, in the project's folder."""
    done = run_child(
        alembic_main, ["alembic", *words], folder=ROOT, environment=environment(settings)
    )
    return Done(done.returncode, done.stdout, done.stderr)


def write_revision(scripts: Path, name: str, *lines: str, after: str = HEAD) -> None:
    """Write a revision that follows another one, with these lines in its `upgrade`."""
    text = [
        "from alembic import op",
        f"revision = {name!r}",
        f"down_revision = {after!r}",
        "def upgrade():",
        *(f"    {line}" for line in lines),
        "def downgrade():",
        "    pass",
    ]
    (scripts / "versions" / f"{name}.py").write_text("\n".join(text), "utf-8")


def passwords(settings: Settings) -> set[str]:
    urls = [url for shard in settings.shards for url in (shard.primary, shard.owner_url)]
    return {str(url.password) for url in urls}


@contextmanager
def unchanged(settings: Settings) -> Iterator[None]:
    """Nothing is changed in the block, neither the schema nor the record of it."""

    def state(shard: Shard) -> tuple[object, ...]:
        found = catalog(shard)
        kept = ("alembic_version", "hosted_regions")
        there = [name for name in kept if f"table {name}" in found]
        return found, *(rows(shard.owner_url, f"TABLE {name}") for name in there)

    before = list(map(state, settings.shards))
    yield
    assert list(map(state, settings.shards)) == before


def error_of(settings: Settings, shard: str = "eu") -> str:
    """Return the one line that `migrate` has for a shard; it is shown that nothing is changed."""
    found = {}
    for fail_fast in (True, False):
        results = migrate(settings, shards=[shard], fail_fast=fail_fast)
        found[fail_fast] = next(results).error
    assert found[True] == found[False]
    error = str(found[True])
    assert "\n" not in error
    assert not any(word in error for word in passwords(settings))
    return error


def with_owner(settings: Settings, owner: URL) -> Settings:
    """Return settings where eu is migrated as somebody else."""
    na, eu = settings.shards
    return replace(settings, shards=(na, replace(eu, owner=owner)))


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a bound."""
    assert wait_until(condition, WAIT_SECONDS)


@contextmanager
def locked(shard: Shard) -> Iterator[int]:
    """Hold the lock that another migration would hold; tells the pid of the server's process."""
    with connect(shard.owner_url) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        yield connection.info.backend_pid


def sessions(shard: Shard) -> list[tuple[Any, ...]]:
    """Return state and begin of the transaction, for each migration that is connected."""
    return rows(
        shard.owner_url,
        "SELECT state, xact_start FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'elearning migrate'",
    )
