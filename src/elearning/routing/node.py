"""One PostgreSQL server of a shard, and what is known of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from weakref import WeakSet

from sqlalchemy import Engine

from elearning.errors import NodeUnavailable
from elearning.routing.token import NOTHING, Position
from elearning.routing.wire import Wire

__all__ = ["Node", "Role", "ShardState"]

logger = logging.getLogger("elearning.routing")

_SOON = 0.3  # seconds; a host that refuses takes a few milliseconds, a silent one 2 s


class Role(StrEnum):
    """What a node is for."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(eq=False, slots=True)
class ShardState:
    """What this process has seen of a shard."""

    written: Position = NOTHING
    """The farthest that a primary is known to have written. One of an older timeline was
    replaced, and is never written to."""
    alone: bool = False
    """Whether the primary reads because every replica is left out."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class Node:
    """One PostgreSQL server of a shard, as this process reaches it.

    ``engine`` runs transactions, ``reader`` every statement by itself: no BEGIN and
    ROLLBACK round trips. A replica has one pool for both; a primary's ``reader`` has a small
    one of its own, so that reads which no replica serves leave connections for writes.
    """

    name: str
    shard: str
    role: Role
    state: ShardState
    address: str
    """Host and port, without user and password."""
    engine: Engine = field(init=False)
    reader: Engine = field(init=False)
    read_only: Engine = field(init=False)
    """Runs transactions that the server lets write nothing."""
    arguments: dict[str, object] = field(default_factory=dict)
    """How it is connected to, beside what its URL says."""
    wires: WeakSet[Wire] = field(default_factory=WeakSet)
    """Its open connections."""
    problem: str | None = None
    """Why it is left out: it did not answer, or is not what it is for."""
    is_closed: bool = False
    """Whether nobody connects to it meanwhile. A host that refuses at once may be tried."""
    lag: str | None = None
    """Why a replica is not read: how far it is behind."""
    replayed: Position | None = None
    """The farthest position that a replica was seen to have replayed."""
    slow_until: float = 0.0
    """On the clock of ``time.monotonic``: it has just been waited for in vain."""
    former: set[tuple[str, str]] = field(default_factory=set)
    """Host and port of primaries that were replaced, of several in the URL."""
    last_address: tuple[str, str] | None = None
    """Host and port where the latest connection went, of several in the URL."""

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines that have a pool."""
        own = self.engine.pool is not self.reader.pool
        return (self.engine, self.reader) if own else (self.reader,)

    @property
    def is_fit(self) -> bool:
        """Whether it may be read."""
        return self.problem is None and self.lag is None

    def forget_replay(self) -> None:
        """Trust nothing that was seen: a replica that was restarted may be behind that again."""
        self.replayed = None

    def leave_out(self, problem: str, *, took: float) -> None:
        """Leave it out until it answers again.

        Args:
            problem: why.
            took: seconds until that was known; where it was soon, it may be tried meanwhile.
        """
        self.forget_replay()
        if self.problem is None:
            logger.warning("%s at %s is left out: %s", self.name, self.address, problem)
        self.problem = problem
        self.is_closed = took >= _SOON

    def give_up(self, problem: str, *, took: float) -> None:
        """Leave it out, and tell those who wait for an answer of it: they would wait on."""
        self.leave_out(problem, took=took)
        for wire in list(self.wires):
            wire.cut()

    def take_back(self) -> None:
        """Let it be used again."""
        if self.problem is not None:
            logger.warning("%s at %s is back", self.name, self.address)
        self.problem = None
        self.is_closed = False

    def unavailable(self, problem: str) -> NodeUnavailable:
        """Return the error that says so."""
        return NodeUnavailable(node=self.name, address=self.address, problem=problem)
