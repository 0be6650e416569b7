"""Months, of UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Date, bindparam, case, null
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import Case

from elearning.errors import InvalidPeriod

__all__ = ["MOST_MONTHS", "Period", "period_key", "period_of"]

MOST_MONTHS = 120
_USUAL = 12


class Period(NamedTuple):
    """The first days of its first and of its last month."""

    first: date
    last: date

    @property
    def values(self) -> dict[str, date]:
        """The parameters of `period_key`."""
        return {"first_month": self.first, "last_month": self.last}


def period_key(month: InstrumentedAttribute[Any]) -> Case[Any]:
    """Return what to group by: a month of a period, or NULL for all others together."""
    first, last = (bindparam(name, type_=Date) for name in ("first_month", "last_month"))
    return case((month.between(first, last), month), else_=null())


def period_of(first: date | None, last: date | None) -> Period:
    """Return the months from one day to another.

    Args:
        first: a day of the first month; None: eleven months before the last.
        last: a day of the last month; None: this month.

    Raises:
        InvalidPeriod: they are no days, the wrong way around, or more than ten years apart.
    """
    given: tuple[object, object] = (first, last)
    for day in given:
        if day is not None and (not isinstance(day, date) or isinstance(day, datetime)):
            raise InvalidPeriod(
                first=_told(first), last=_told(last), problem="expected two dates, or None"
            )
    end = _number(last or datetime.now(UTC).date())
    begin = max(end - _USUAL + 1, _number(date.min)) if first is None else _number(first)
    if begin > end:
        raise InvalidPeriod(
            first=_told(first), last=_told(last), problem="they end before they begin"
        )
    if end - begin >= MOST_MONTHS:
        raise InvalidPeriod(
            first=_told(first), last=_told(last), problem=f"more than {MOST_MONTHS} months at once"
        )
    return Period(_day(begin), _day(end))


def _number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _day(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def _told(day: object) -> str:
    if day is None:
        return "(default)"
    return day.isoformat() if isinstance(day, date) else f"of type {type(day).__name__}"
