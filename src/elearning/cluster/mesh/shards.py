"""The connections of one run to all shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg

from elearning.cluster.mesh.connecting import (
    Connection,
    connect_owner,
    connect_replicator,
    problem_of,
    timeline,
)
from elearning.config import Settings, Shard
from elearning.errors import ElearningError

__all__ = ["Opened", "open_all"]


@dataclass(slots=True)
class Opened:
    """A shard whose primary is connected to, or what is in the way of that."""

    shard: Shard
    problem: str | None = None
    timeline: int = 0
    _owner: Connection | None = field(default=None, repr=False)
    _replicator: Connection | None = field(default=None, repr=False)

    @property
    def owner(self) -> Connection:
        """The connection as the role that migrates."""
        assert self._owner is not None  # noqa: S101 - for mypy: there is no problem
        return self._owner

    @property
    def replicator(self) -> Connection:
        """The connection as the role that owns the slots, made when it is needed."""
        if self._replicator is None:
            self._replicator = connect_replicator(self.shard)
        return self._replicator

    def open(self) -> None:
        """Connect, or tell why not."""
        try:
            self._owner = connect_owner(self.shard)
            self.timeline = timeline(self._owner)
        except (psycopg.Error, ElearningError) as error:
            told = problem_of(error, self.shard.owner_url, self.shard.replication)
            self.problem = f"{self.shard.name} does not answer: {told}"

    def close(self) -> None:
        """Disconnect."""
        for connection in (self._owner, self._replicator):
            if connection is not None:
                connection.close()


@contextmanager
def open_all(settings: Settings) -> Iterator[list[Opened]]:
    """Connect to every shard's primary."""
    with ExitStack() as stack:
        opened = [Opened(shard) for shard in settings.shards]
        for one in opened:
            stack.callback(one.close)
            one.open()
        yield opened
