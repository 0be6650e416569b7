"""Which states a row may start in, and which state may follow which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["States"]


@dataclass(frozen=True, slots=True)
class States:
    """The life of a row, kept by the trigger `refuse_illegal_step`.

    Attributes:
        steps: for each state, those that may follow it.
        start: the states that a new row may have; None: any, as an import brings.
    """

    steps: Mapping[StrEnum, tuple[StrEnum, ...]]
    start: tuple[StrEnum, ...] | None = None

    def edges(self) -> Iterator[tuple[StrEnum, StrEnum]]:
        """Yield each legal step as (before, after)."""
        for before, following in self.steps.items():
            for after in following:
                yield before, after

    def diagram(self) -> str:
        """Return the states as a Mermaid diagram."""
        first = self.start if self.start is not None else tuple(self.steps)
        lines = [f"    [*] --> {state}" for state in first]
        lines += [f"    {before} --> {after}" for before, after in self.edges()]
        lines += [
            f"    {state} --> [*]" for state, following in self.steps.items() if not following
        ]
        return "\n".join(["stateDiagram-v2", *lines])
