"""How far people come who enroll."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

__all__ = ["Funnel", "MonthFunnel", "by_month", "ratio", "total"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Funnel:
    """How far those came who enrolled.

    Attributes:
        enrolled: all enrollments that are there.
        started: those of them with a lesson completed.
        completed: those of them that are completed.
        ended: those of them that are dropped or expired.
    """

    enrolled: int = 0
    started: int = 0
    completed: int = 0
    ended: int = 0

    @property
    def active(self) -> int:
        """How many go on."""
        return self.enrolled - self.completed - self.ended

    @property
    def completion_rate(self) -> Decimal | None:
        """How many of a hundred have completed, to two decimals; None: nobody has enrolled."""
        return ratio(100 * self.completed, self.enrolled)


@dataclass(frozen=True, kw_only=True, slots=True)
class MonthFunnel(Funnel):
    """How far those came who enrolled in one month.

    Attributes:
        month: its first day (UTC). Who took a course up again counts in the month of that.
    """

    month: date


Counted = tuple[date | None, int, int, int, int]
"""A month, or None for others; then as in `Funnel`."""


def by_month(rows: Iterable[Counted]) -> list[MonthFunnel]:
    """Return the months of a period in which somebody enrolled, oldest first."""
    found = [
        MonthFunnel(
            month=month, enrolled=enrolled, started=started, completed=completed, ended=ended
        )
        for month, enrolled, started, completed, ended in rows
        if month is not None and enrolled
    ]
    return sorted(found, key=lambda each: each.month)


def total(rows: Iterable[Counted]) -> Funnel:
    """Return all of it, inside the period and outside."""
    sums = [0, 0, 0, 0]
    for _, *numbers in rows:
        sums = [before + number for before, number in zip(sums, numbers, strict=True)]
    return Funnel(enrolled=sums[0], started=sums[1], completed=sums[2], ended=sums[3])


def ratio(part: int, whole: int) -> Decimal | None:
    """Return a quotient to two decimals, half rounded up; None: of nothing."""
    if not whole:
        return None
    return (Decimal(part) / whole).quantize(Decimal("0.01"), ROUND_HALF_UP)
