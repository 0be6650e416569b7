"""Brings the copies of the catalog in line with the settings, on all shards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import psycopg

from elearning.cluster.mesh import publication, slots, subscription
from elearning.cluster.mesh.connecting import problem_of, value
from elearning.cluster.mesh.mend import Pair
from elearning.cluster.mesh.names import slot_name, subscription_name
from elearning.cluster.mesh.report import MeshReport, PairResult
from elearning.cluster.mesh.settings import why_no_mesh
from elearning.cluster.mesh.shards import Opened, open_all
from elearning.config import Settings
from elearning.errors import ElearningError, MeshError
from elearning.models import HEAD
from elearning.routing.schema import read_revision

__all__ = ["LOCK_KEY", "reconcile_mesh"]

LOCK_KEY = int.from_bytes(b"elearmsh")
"""Of the advisory lock that one run holds on each shard."""

_LOCK_WAIT = 60.0  # seconds
_PAUSE = 0.05

logger = logging.getLogger("elearning.mesh")


def reconcile_mesh(settings: Settings) -> MeshReport:
    """Let each shard publish its catalog and subscribe to all others, and mend what is wrong.

    Running it again changes nothing; at once, one waits for the other. Shards that do not
    answer are told as problems of their pairs, and the others are done.

    Args:
        settings: where the shards are, and how they reach each other.

    Raises:
        SettingsError: a URL is missing.
        MeshError: another run goes on for too long.
    """
    skipped = why_no_mesh(settings)
    if skipped is not None:
        return MeshReport(skipped=skipped or None)
    with open_all(settings) as opened:
        behind = [
            f"{one.shard.name} is at {revision or 'no revision'}"
            for one in opened
            if one.problem is None and (revision := read_revision(one.owner)) != HEAD
        ]
        if behind:
            return MeshReport(
                skipped=f"courses are copied when all shards are at {HEAD}: {', '.join(behind)}"
            )
        with _locked(opened):
            return MeshReport(tuple(_reconcile(settings, opened)))


@contextmanager
def _locked(opened: list[Opened]) -> Iterator[None]:
    """Hold the lock on each shard, in one order for all."""
    deadline = monotonic() + _LOCK_WAIT
    for one in sorted(opened, key=lambda each: each.shard.name):
        while one.problem is None:
            if value(one.owner, "SELECT pg_try_advisory_lock(%s)", LOCK_KEY):
                break
            if monotonic() > deadline:
                raise MeshError(
                    problem=f"another run still holds the lock on {one.shard.name} after "
                    f"{_LOCK_WAIT:g} s"
                )
            sleep(_PAUSE)
    yield  # the locks end with the connections


def _reconcile(settings: Settings, opened: list[Opened]) -> Iterator[PairResult]:
    for one in opened:
        yield from _forget(settings, one)
    for publisher in opened:
        if publisher.shard.regions:
            yield from _reconcile_publisher(publisher, opened)
        elif publisher.problem is None and not publication.is_current(
            publisher.owner, publisher.shard
        ):
            publication.unpublish(publisher.owner)


def _reconcile_publisher(publisher: Opened, opened: list[Opened]) -> Iterator[PairResult]:
    pairs = [Pair(publisher, other) for other in opened if other is not publisher]
    try:
        if publisher.problem is None and not publication.is_current(
            publisher.owner, publisher.shard
        ):
            publication.publish(publisher.owner, publisher.shard)
    except psycopg.Error as error:
        publisher.problem = f"{publisher.shard.name} cannot publish: {problem_of(error)}"
    # All subscriptions to be mended are dropped first: what is brought back home from one
    # shard is an unexpected row to another one that has it, too.
    for pair in pairs:
        pair.prepare()
    for pair in pairs:
        yield pair.mend()


def _forget(settings: Settings, one: Opened) -> Iterator[PairResult]:
    """Drop what belongs to shards that are gone from the settings."""
    if one.problem is not None:
        return
    others = [shard for shard in settings.shards if shard != one.shard]
    wanted = {subscription_name(shard) for shard in others if shard.regions}
    kept = {slot_name(one.shard, shard) for shard in others} if one.shard.regions else set()
    name = one.shard.name
    try:
        for each in subscription.subscriptions(one.owner):
            if each not in wanted:
                subscription.drop(one.owner, each)
                yield PairResult(each, name, "dropped: the settings have no such publisher")
        for each in slots.slots(one.replicator) if one.shard.replication else ():
            if each not in kept:
                slots.drop(one.replicator, each)
                yield PairResult(name, each, "slot dropped: the settings have no such subscriber")
    except (psycopg.Error, ElearningError) as error:
        yield PairResult(name, name, "not done", problem=problem_of(error))
