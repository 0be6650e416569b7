"""Statements that go to no node, and nodes that do not answer."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = [
    "CrossShardRead",
    "CrossShardWrite",
    "NodeUnavailable",
    "NotMergeable",
    "PoolExhausted",
    "ReadOnlySession",
    "RegionRequired",
    "RoutingError",
]


class RoutingError(ElearningError):
    """A statement cannot be sent to one node."""


class RegionRequired(RoutingError):
    """Neither the session nor the statement tells the region."""

    template = (
        "{statement} names no region: open the session for one, session(region=...), "
        "or pass execution_options(region=...)"
    )


class ReadOnlySession(RoutingError):
    """A read session writes nothing."""

    template = "a read session cannot {what}: use a RoutingSession, or Platform.session()"


class CrossShardWrite(RoutingError):
    """One transaction writes on one shard."""

    template = (
        "this transaction writes on shard {first} and cannot write on shard {second} too: "
        "commit first, or use a session of its own for each shard"
    )


class CrossShardRead(RoutingError):
    """One statement names rows of several shards."""

    template = "the statement names ids of several shards ({shards}): ask each in its own statement"


class NotMergeable(RoutingError):
    """What several shards answer cannot be put together to what one database would answer."""

    template = "this statement cannot be merged exactly over several shards: {reason}"


class NodeUnavailable(ElearningError):
    """A database node does not answer."""

    template = "{node} at {address} is not available: {problem}"


class PoolExhausted(ElearningError):
    """All connections of a node's pool were in use for too long."""

    template = (
        "{node}: all {size} connections were in use for {seconds} s: end sessions sooner, "
        "or give Engines a larger pool_size"
    )
