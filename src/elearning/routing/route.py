"""Where a statement goes, and why."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Route"]


class Route(NamedTuple):
    """What is decided for a statement before its autoflush; the node is found after it."""

    shard: str
    why: str
    """What told the shard."""
    obstacle: str | None
    """What keeps the statement from a replica; None: it only reads."""
    streams: bool = False
    """Whether the rows come through a cursor of the server's, which lives in a transaction."""

    @property
    def reads(self) -> bool:
        """Whether it may go to a replica."""
        return self.obstacle is None
