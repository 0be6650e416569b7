"""Money that came and went, by currency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from elearning.money import from_minor

__all__ = ["Amounts", "MonthRevenue", "Revenue", "amounts", "by_currency", "by_month"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Revenue:
    """What was paid in one currency, before tax.

    Attributes:
        currency: ISO 4217.
        payments: how many payments were completed.
        paid: their sum.
        refunds: how many refunds were completed.
        refunded: their sum.
    """

    currency: str
    payments: int = 0
    paid: Decimal = Decimal(0)
    refunds: int = 0
    refunded: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        """What is left of it."""
        return self.paid - self.refunded


@dataclass(frozen=True, kw_only=True, slots=True)
class MonthRevenue(Revenue):
    """What was paid in one currency in one month.

    Attributes:
        month: its first day (UTC): when payments and refunds were completed, each by itself.
    """

    month: date


Amounts = tuple[date | None, str, int, int, int, int]
"""A month, or None for others; a currency; then as in `Revenue`, in minor units."""


def amounts(rows: Iterable[Sequence[Any]]) -> list[Amounts]:
    """Return what shards have added up, as integers."""
    return [(row[0], row[1], int(row[2]), int(row[3]), int(row[4]), int(row[5])) for row in rows]


def by_currency(rows: Iterable[Amounts]) -> dict[str, Revenue]:
    """Return all of it by currency, in the order of its code."""
    sums: dict[str, list[int]] = {}
    for _, currency, *numbers in rows:
        before = sums.get(currency, [0, 0, 0, 0])
        sums[currency] = [old + number for old, number in zip(before, numbers, strict=True)]
    return {
        currency: Revenue(
            currency=currency,
            payments=payments,
            paid=from_minor(paid, currency),
            refunds=refunds,
            refunded=from_minor(refunded, currency),
        )
        for currency, (payments, paid, refunds, refunded) in sorted(sums.items())
    }


def by_month(rows: Iterable[Amounts]) -> list[MonthRevenue]:
    """Return the months of a period in which money came or went, oldest first, by currency."""
    found = [
        MonthRevenue(
            month=month,
            currency=currency,
            payments=payments,
            paid=from_minor(paid, currency),
            refunds=refunds,
            refunded=from_minor(refunded, currency),
        )
        for month, currency, payments, paid, refunds, refunded in rows
        if month is not None
    ]
    return sorted(found, key=lambda each: (each.month, each.currency))
