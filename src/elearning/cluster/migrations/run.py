"""Brings the shards to a revision, one after the other or in several processes.

Alembic keeps its context in globals, so shards never migrate in threads.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from time import monotonic

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from elearning.cluster.migrations.access import check_database, owner_connection
from elearning.cluster.migrations.environment import LOCK_WAIT
from elearning.config import Settings
from elearning.errors import ElearningError, InvalidInput

__all__ = ["Migrated", "alembic_config", "migrate"]

logger = logging.getLogger("elearning.migrations")

_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Migrated:
    """What happened on one shard; ``error`` is None where all went well.

    Attributes:
        shard: its name.
        before: the revision that it was at; None: it was empty, or that is not known.
        after: the revision that it is at.
        applied: how many revisions were run.
        seconds: how long it took.
        error: what went wrong, in one line.
    """

    shard: str
    before: str | None = None
    after: str | None = None
    applied: int = 0
    seconds: float = 0.0
    error: str | None = None


def alembic_config(
    settings: Settings, shard: str | None = None, *, scripts: Path | None = None
) -> Config:
    """Return Alembic's configuration for these settings.

    Args:
        settings: where the shards are.
        shard: the one to run on; default: all.
        scripts: the folder of revisions; default: that of this release.
    """
    installed = _PACKAGE / "_alembic"
    folder = installed if installed.is_dir() else _PACKAGE.parents[1] / "alembic"
    config = Config(cmd_opts=Namespace(x=[] if shard is None else [f"shard={shard}"]))
    config.set_main_option("script_location", str(scripts or folder).replace("%", "%%"))
    config.attributes["settings"] = settings
    return config


def migrate(
    settings: Settings,
    revision: str = "head",
    *,
    shards: Iterable[str] | None = None,
    jobs: int = 1,
    fail_fast: bool = False,
    lock_wait: float = LOCK_WAIT,
    scripts: Path | None = None,
) -> Iterator[Migrated]:
    """Upgrade shards, and tell of each as it is done.

    The regions that a shard hosts and the rights of the roles are brought in line
    with the settings and the models, too. A run that was cut off anywhere is ended
    by running it again.

    Args:
        settings: where the shards are.
        revision: to upgrade to.
        shards: the names of some; default: all.
        jobs: how many processes; 1: this one.
        fail_fast: look at all shards before the first is touched, and touch no more
            after one has failed. Otherwise one failure stops no other.
        lock_wait: seconds to wait where another migration runs on a shard.
        scripts: the folder of revisions; default: that of this release.

    Raises:
        SettingsError: no shard has one of these names.
        InvalidInput: no such number of processes or seconds.
    """
    if jobs < 1 or lock_wait < 0 or not isfinite(lock_wait):
        message = f"{jobs} processes and a wait of {lock_wait:g} s: expected at least 1 and 0"
        raise InvalidInput(message)
    if not revision:
        message = "the revision is empty: expected one such as 'head' or '0004'"
        raise InvalidInput(message)
    chosen = [shard.name for shard in settings.shards]
    if shards is not None:
        chosen = [settings.shard(name).name for name in dict.fromkeys(shards)]
    task = _Task(settings, revision, lock_wait, scripts)
    if fail_fast and (failed := [result for result in map(task.look, chosen) if result.error]):
        errors = {result.shard: result for result in failed}
        yield from (errors.get(name) or _left_alone(name, failed[0]) for name in chosen)
    elif jobs == 1:
        yield from _one_by_one(task, chosen, fail_fast=fail_fast)
    else:
        yield from _side_by_side(task, chosen, jobs, fail_fast=fail_fast)


@dataclass(frozen=True, slots=True)
class _Task:
    """What to do with a shard; it travels to other processes."""

    settings: Settings
    revision: str
    lock_wait: float
    scripts: Path | None

    def __call__(self, shard: str) -> Migrated:
        """Migrate a shard."""
        start = monotonic()
        result = Migrated(shard)

        def report(before: str | None, after: str | None, applied: int) -> None:
            nonlocal result
            result = replace(result, before=before, after=after, applied=applied)

        config = alembic_config(self.settings, shard, scripts=self.scripts)
        config.attributes |= {"report": report, "lock_wait": self.lock_wait}
        try:
            command.upgrade(config, self.revision)
        except (CommandError, SQLAlchemyError) as error:
            result = replace(result, error=str(error).strip().splitlines()[0])
        except Exception as error:
            # A mistake in a revision stops no other shard; whoever wrote it wants to see where.
            logger.exception("shard %s", shard)
            result = replace(result, error=f"shard {shard}: {type(error).__name__}: {error}")
        return replace(result, seconds=monotonic() - start)

    def look(self, shard: str) -> Migrated:
        """Find what would stop the migration of a shard; touch nothing."""
        config = alembic_config(self.settings, shard, scripts=self.scripts)
        script = ScriptDirectory.from_config(config)
        known = {each.revision for each in script.walk_revisions()}
        head = script.get_current_head() or "base"
        one = self.settings.shard(shard)
        try:
            with owner_connection(one) as connection:
                before = check_database(connection, one, known, head, writes=True)
            for _ in script.iterate_revisions(self.revision, before, implicit_base=True):
                pass  # raises where there is no such way
        except (ElearningError, CommandError, SQLAlchemyError) as error:
            return Migrated(shard, error=str(error).strip().splitlines()[0])
        return Migrated(shard, before, before)


def _one_by_one(
    task: Callable[[str], Migrated], shards: list[str], *, fail_fast: bool
) -> Iterator[Migrated]:
    failed: Migrated | None = None
    for shard in shards:
        result = _left_alone(shard, failed) if failed and fail_fast else task(shard)
        failed = failed or (result if result.error else None)
        yield result


def _side_by_side(
    task: Callable[[str], Migrated], shards: list[str], jobs: int, *, fail_fast: bool
) -> Iterator[Migrated]:
    # A fork would share this process's connections.
    spawn = multiprocessing.get_context("spawn")
    left = list(shards)
    running: dict[Future[Migrated], str] = {}
    failed: Migrated | None = None
    with (
        ProcessPoolExecutor(
            min(jobs, len(shards)) or 1, mp_context=spawn, initializer=_end_with_parent
        ) as pool,
        _ended_when_interrupted(),
    ):
        while running or (left and not failed):
            # No more than there are processes: what the pool has taken, it does not give back.
            while left and not failed and len(running) < jobs:
                shard = left.pop(0)
                running[pool.submit(task, shard)] = shard
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                shard = running.pop(done)
                killed = isinstance(done.exception(), BrokenProcessPool)
                result = _killed(shard) if killed else done.result()
                if result.error and (fail_fast or killed):
                    failed = failed or result
                yield result
    if failed:
        yield from (_left_alone(shard, failed) for shard in left)


@contextmanager
def _ended_when_interrupted() -> Iterator[None]:
    """End the workers that were started inside when it is left in a hurry."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise


def _end_with_parent() -> None:
    """Let a worker end with its parent only: its open transaction is undone then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends it
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _left_alone(shard: str, failed: Migrated) -> Migrated:
    return Migrated(shard, error=f"left untouched, for {failed.shard} failed")


def _killed(shard: str) -> Migrated:
    # The pool ends all of its processes when one of them has ended.
    error = f"shard {shard}: its process was killed, run it again: it goes on where it stopped"
    return Migrated(shard, error=error)
