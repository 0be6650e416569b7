"""How far the copies are, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from elearning.cluster.mesh import publication
from elearning.cluster.mesh.connecting import Connection, timeline
from elearning.cluster.mesh.names import slot_name, subscription_name
from elearning.cluster.mesh.needs import note_of, why_mend
from elearning.cluster.mesh.slots import Slot, slots
from elearning.cluster.mesh.subscription import Subscription, steady
from elearning.config import Settings, Shard

__all__ = ["CopyHealth", "ShardFacts", "copies_health", "look_at"]

_MEND = "run 'elearning reconcile'"
_POSITIONS = """
    SELECT slot_name::text,
        greatest(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), confirmed_flush_lsn), 0)::bigint
    FROM pg_replication_slots
    WHERE database = current_database() AND confirmed_flush_lsn IS NOT NULL
"""
_HEARD = """
    SELECT subname::text, extract(epoch FROM clock_timestamp() - latest_end_time)::float8
    FROM pg_stat_subscription WHERE relid IS NULL AND latest_end_time IS NOT NULL
"""


@dataclass(slots=True)
class CopyHealth:
    """The copies of one shard's catalog on another one.

    Attributes:
        publisher: the home of the rows.
        subscriber: where the copies are.
        ok: whether they are kept up to date.
        running: whether the subscriber's worker is at work.
        lag_bytes: what the publisher has written and the subscriber not confirmed.
        lag_seconds: since when; 0 where nothing is missing.
        errors: how often the worker was stopped by one.
        problem: what is wrong, and what to do.
    """

    publisher: str
    subscriber: str
    ok: bool = False
    running: bool = False
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    errors: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """What a shard's primary tells, as a publisher and as a subscriber."""

    timeline: int
    publication: int | None
    slots: dict[str, Slot]
    behind: dict[str, int]
    subscriptions: dict[str, Subscription]
    heard: dict[str, float]


def look_at(connection: Connection) -> ShardFacts:
    """Ask a primary, as any role."""
    return ShardFacts(
        timeline(connection),
        publication.publication_id(connection),
        slots(connection),
        dict(connection.execute(_POSITIONS).fetchall()),
        steady(connection),
        dict(connection.execute(_HEARD).fetchall()),
    )


def copies_health(settings: Settings, facts: Mapping[str, ShardFacts]) -> tuple[CopyHealth, ...]:
    """Tell how each pair of shards is; nothing where shards do not copy from each other.

    Args:
        settings: where the shards are.
        facts: of those that have answered, by name.
    """
    publishers = [shard for shard in settings.shards if shard.regions]
    if len(settings.shards) == 1 or all(each.replication is None for each in publishers):
        return ()
    return tuple(
        _health(publisher, subscriber, facts)
        for publisher in publishers
        for subscriber in settings.shards
        if subscriber != publisher
    )


def _health(publisher: Shard, subscriber: Shard, facts: Mapping[str, ShardFacts]) -> CopyHealth:
    health = CopyHealth(publisher.name, subscriber.name)
    silent = [each.name for each in (publisher, subscriber) if each.name not in facts]
    if publisher.replication is None:
        variable = f"ELEARNING_SHARD_{publisher.name.upper()}_REPLICATION"
        health.problem = f"{variable} is not set"
    elif silent:
        health.problem = f"not known: {' and '.join(silent)} gave no answer"
    else:
        there, here = facts[publisher.name], facts[subscriber.name]
        found = here.subscriptions.get(subscription_name(publisher))
        health.running = found is not None and found.running
        health.errors = found.errors if found is not None else 0
        health.lag_bytes = there.behind.get(slot_name(publisher, subscriber))
        heard = here.heard.get(subscription_name(publisher))
        health.lag_seconds = 0.0 if health.lag_bytes == 0 else heard and round(heard, 3)
        health.problem = _problem(publisher, subscriber, there, here)
    health.ok = health.problem is None
    return health


def _problem(
    publisher: Shard, subscriber: Shard, there: ShardFacts, here: ShardFacts
) -> str | None:
    found = here.subscriptions.get(subscription_name(publisher))
    wanted = note_of(
        publisher, there=there.timeline, here=here.timeline, publication=there.publication
    )
    if why := why_mend(publisher, subscriber, found, there.slots, wanted):
        log = f"the log of {subscriber.name}'s server names the row in its way; "
        return f"{why}: {log if why.startswith('stopped') else ''}{_MEND}"
    if found is not None and not found.enabled:
        return f"disabled: {_MEND}"
    if found is None or not found.running:
        return f"not running: {_MEND}"
    return None
