"""What was done about the copies."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NOTHING", "MeshReport", "PairResult"]

NOTHING = "nothing to do"


@dataclass(frozen=True, slots=True)
class PairResult:
    """The copies of one shard's catalog on another one.

    Attributes:
        publisher: the home of the rows.
        subscriber: the shard that has copies of them.
        action: what was done, in words.
        rows: how many copies were made equal to their originals.
        brought_back: how many rows were lost at home and came back from their copies.
        problem: what is wrong; None: all is well.
    """

    publisher: str
    subscriber: str
    action: str = NOTHING
    rows: int = 0
    brought_back: int = 0
    problem: str | None = None

    @property
    def told(self) -> str:
        """All of it in words."""
        parts = [self.action]
        if self.rows:
            parts.append(f"{self.rows} row(s) brought in line")
        if self.brought_back:
            parts.append(f"{self.brought_back} row(s) brought back home")
        if self.problem is not None:
            parts.append(self.problem)
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class MeshReport:
    """All pairs of shards; ``skipped`` says why none was looked at."""

    pairs: tuple[PairResult, ...] = ()
    skipped: str | None = None

    @property
    def ok(self) -> bool:
        """Whether no pair has a problem."""
        return all(pair.problem is None for pair in self.pairs)

    @property
    def changed(self) -> bool:
        """Whether anything had to be done."""
        return any(pair.action != NOTHING for pair in self.pairs)

    @property
    def problem(self) -> str:
        """All problems in one line; empty where there are none."""
        return "; ".join(
            f"{pair.publisher} to {pair.subscriber}: {pair.problem}"
            for pair in self.pairs
            if pair.problem is not None
        )
