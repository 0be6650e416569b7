"""Figures of the whole platform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from elearning.crud.statistics import funnels, revenues
from elearning.crud.statistics.figures import Figures, Part, Rows
from elearning.crud.statistics.funnels import Funnel, MonthFunnel, ratio
from elearning.crud.statistics.periods import period_key, period_of
from elearning.crud.statistics.revenues import Amounts, MonthRevenue, Revenue
from elearning.errors import ElearningError
from elearning.models import CourseStatus, PlatformCounter, UserStatus, UserType

__all__ = [
    "PlatformFunnel",
    "PlatformRevenueReport",
    "PlatformStatistics",
    "platform_funnel",
    "platform_revenue",
    "platform_statistics",
]

_FUNNEL = ("enrolled", "started", "completed", "ended")
_REVENUE = ("payments", "paid", "refunds", "refunded")


@dataclass(frozen=True, slots=True)
class PlatformStatistics:
    """How much the platform holds.

    Attributes:
        users: accounts by type, and of each type by status; those that are zero are left out.
        courses: by status.
        enrollments: all that ever began, and how far they came.
        reviews: how many there are that are not hidden.
        rating: their mean, 1 to 5; None: there is none.
        revenue: all that was ever paid, by currency.
        documents: of MongoDB; None: not asked for here, see `elearning.flows`.
        missing: why shards are not counted; only with ``on_shard_error="partial"``.
    """

    users: Mapping[UserType, Mapping[UserStatus, int]]
    courses: Mapping[CourseStatus, int]
    enrollments: Funnel
    reviews: int
    rating: Decimal | None
    revenue: Mapping[str, Revenue]
    documents: int | None = None
    missing: Mapping[str, ElearningError] = field(default_factory=dict)

    @property
    def total_users(self) -> int:
        """All accounts."""
        return sum(sum(each.values()) for each in self.users.values())

    @property
    def total_courses(self) -> int:
        """All courses, drafts and archived ones too."""
        return sum(self.courses.values())


@dataclass(frozen=True, slots=True)
class PlatformFunnel:
    """How far all those came who enrolled in anything.

    Attributes:
        total: all that ever enrolled.
        months: those of the period, by the month in which they did; without empty months.
        missing: why shards are not counted; only with ``on_shard_error="partial"``.
    """

    total: Funnel
    months: Sequence[MonthFunnel]
    missing: Mapping[str, ElearningError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlatformRevenueReport:
    """What was paid on the platform.

    Attributes:
        total: all that was ever paid, by currency.
        months: what was paid in the period, by month and currency; without empty months.
        missing: why shards are not counted; only with ``on_shard_error="partial"``.
    """

    total: Mapping[str, Revenue]
    months: Sequence[MonthRevenue]
    missing: Mapping[str, ElearningError] = field(default_factory=dict)


_c = PlatformCounter
_COUNTED = select(_c.name, _c.detail, _c.currency, func.sum(_c.change)).group_by(
    _c.name, _c.detail, _c.currency
)
_MONTH = period_key(_c.month)
_ENROLLED = (
    select(_MONTH, _c.detail, func.sum(_c.change))
    .where(_c.name == "enrollments")
    .group_by(_MONTH, _c.detail)
)
_PAID = (
    select(_MONTH, _c.currency, _c.detail, func.sum(_c.change))
    .where(_c.name == "revenue")
    .group_by(_MONTH, _c.currency, _c.detail)
)


def platform_statistics() -> Figures[PlatformStatistics]:
    """Return the figures of the platform: accounts, courses, enrollments, reviews, revenue."""
    return Figures([Part(_COUNTED)], _statistics)


def platform_funnel(
    *, first: date | None = None, last: date | None = None
) -> Figures[PlatformFunnel]:
    """Return the figures of how far all people came who enrolled, by month.

    Args:
        first: a day of the first month (UTC); default: eleven months before the last.
        last: a day of the last month; default: this month.

    Raises:
        InvalidPeriod: more than 120 months, or the wrong way around.
    """
    period = period_of(first, last)

    def read(answers: Sequence[Rows], missing: Mapping[str, ElearningError]) -> PlatformFunnel:
        found = [(key[0], *numbers) for key, numbers in _wide(answers[0], _FUNNEL).items()]
        return PlatformFunnel(funnels.total(found), funnels.by_month(found), missing)

    return Figures([Part(_ENROLLED)], read, period.values)


def platform_revenue(
    *, first: date | None = None, last: date | None = None
) -> Figures[PlatformRevenueReport]:
    """Return the figures of what was paid on the platform, by month and currency.

    Args:
        first: see `platform_funnel`.
        last: see `platform_funnel`.

    Raises:
        InvalidPeriod: more than 120 months, or the wrong way around.
    """
    period = period_of(first, last)

    def read(
        answers: Sequence[Rows], missing: Mapping[str, ElearningError]
    ) -> PlatformRevenueReport:
        found: list[Amounts] = [
            (key[0], key[1], *numbers) for key, numbers in _wide(answers[0], _REVENUE).items()
        ]
        return PlatformRevenueReport(revenues.by_currency(found), revenues.by_month(found), missing)

    return Figures([Part(_PAID)], read, period.values)


def _statistics(
    answers: Sequence[Rows], missing: Mapping[str, ElearningError]
) -> PlatformStatistics:
    counters: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for name, detail, currency, change in answers[0]:
        if change:
            counters[name][detail, currency] = int(change)
    users: dict[UserType, dict[UserStatus, int]] = {}
    for (detail, _), number in sorted(counters["users"].items()):
        user_type, status = detail.split()
        users.setdefault(UserType(user_type), {})[UserStatus(status)] = number
    enrollments, reviews = counters["enrollments"], counters["reviews"]
    number = reviews.get(("number", ""), 0)
    revenue = _wide(
        [(currency, detail, change) for (detail, currency), change in counters["revenue"].items()],
        _REVENUE,
    )
    return PlatformStatistics(
        users,
        courses={
            CourseStatus(status): number
            for (status, _), number in sorted(counters["courses"].items())
        },
        enrollments=Funnel(**{name: enrollments.get((name, ""), 0) for name in _FUNNEL}),
        reviews=number,
        rating=ratio(reviews.get(("rating_sum", ""), 0), number),
        revenue=revenues.by_currency(
            (None, currency, *numbers) for (currency,), numbers in revenue.items()
        ),
        missing=missing,
    )


def _wide(
    rows: Sequence[Any], details: Sequence[str]
) -> dict[tuple[Any, ...], tuple[int, int, int, int]]:
    """Put the counters of one key side by side; their detail and sum come last in a row."""
    found: dict[tuple[Any, ...], dict[str, int]] = defaultdict(dict)
    for *key, detail, change in rows:
        found[tuple(key)][detail] = int(change)
    return {
        key: tuple(numbers.get(detail, 0) for detail in details)  # type: ignore[misc]
        for key, numbers in found.items()
    }
