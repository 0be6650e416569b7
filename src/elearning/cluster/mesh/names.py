"""How subscriptions and slots are called."""

from __future__ import annotations

from hashlib import sha256

from elearning.config import Shard

__all__ = ["PREFIX", "SUBSCRIPTIONS", "slot_name", "subscription_name"]

PREFIX = "elearning_"
"""Of all slots of ours; they are told from others of a database by it."""

SUBSCRIPTIONS = "elearning_from_"
"""What the names of all subscriptions of ours begin with."""

_WIDTH = 16


def subscription_name(publisher: Shard) -> str:
    """Return the name of a shard's subscription to another one; names are per database."""
    return f"{SUBSCRIPTIONS}{publisher.name}"


def slot_name(publisher: Shard, subscriber: Shard) -> str:
    """Return the name of the slot that one shard keeps for another.

    Slots are named per server, which may hold databases of several platforms, so the name
    depends on the database too; long names of shards are cut.
    """
    database = publisher.owner_url.database
    whole = f"{database}/{publisher.name}/{subscriber.name}"
    digest = sha256(whole.encode()).hexdigest()[:8]
    return f"{PREFIX}{publisher.name[:_WIDTH]}_to_{subscriber.name[:_WIDTH]}_{digest}"
