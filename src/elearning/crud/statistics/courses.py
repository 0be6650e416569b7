"""Figures of one course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select

from elearning.crud.statistics import funnels, revenues
from elearning.crud.statistics.figures import Figures, Part, Rows
from elearning.crud.statistics.funnels import Funnel, MonthFunnel
from elearning.crud.statistics.periods import period_key, period_of
from elearning.crud.statistics.revenues import MonthRevenue, Revenue
from elearning.errors import CourseNotFound, ElearningError
from elearning.ids import parse_id
from elearning.models import Course, CourseMonth, CourseRevenue

__all__ = ["CourseFunnel", "CourseRevenueReport", "course_funnel", "course_revenue"]


@dataclass(frozen=True, slots=True)
class CourseFunnel:
    """How far those came who enrolled in a course.

    Attributes:
        course_id: the course.
        total: all that ever enrolled.
        months: those of the period, by the month in which they did; without empty months.
        missing: why shards are not counted; only with ``on_shard_error="partial"``.
    """

    course_id: UUID
    total: Funnel
    months: Sequence[MonthFunnel]
    missing: Mapping[str, ElearningError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CourseRevenueReport:
    """What was paid for a course.

    Attributes:
        course_id: the course.
        total: all that was ever paid, by currency.
        months: what was paid in the period, by month and currency; without empty months.
        missing: why shards are not counted; only with ``on_shard_error="partial"``.
    """

    course_id: UUID
    total: Mapping[str, Revenue]
    months: Sequence[MonthRevenue]
    missing: Mapping[str, ElearningError] = field(default_factory=dict)


_ID = bindparam("course_id", type_=Uuid)
_COURSE = select(Course.id).where(Course.id == _ID)
_m, _r = CourseMonth, CourseRevenue
_MONTH = period_key(_m.month)
_FUNNEL = (
    select(
        _MONTH,
        func.sum(_m.enrolled),
        func.sum(_m.started),
        func.sum(_m.completed),
        func.sum(_m.ended),
    )
    .where(_m.course_id == _ID)
    .group_by(_MONTH)
)
_PAID_IN = period_key(_r.month)
_REVENUE = (
    select(
        _PAID_IN,
        _r.currency,
        func.sum(_r.payments),
        func.sum(_r.paid),
        func.sum(_r.refunds),
        func.sum(_r.refunded),
    )
    .where(_r.course_id == _ID)
    .group_by(_PAID_IN, _r.currency)
)


def course_funnel(
    course_id: UUID, *, first: date | None = None, last: date | None = None
) -> Figures[CourseFunnel]:
    """Return the figures of how far the people of a course came, by month.

    Args:
        course_id: the course.
        first: a day of the first month (UTC); default: eleven months before the last.
        last: a day of the last month; default: this month.

    Raises:
        InvalidId: no id.
        InvalidPeriod: more than 120 months, or the wrong way around.
        CourseNotFound: there is none; raised by the reading.
    """
    course_id = parse_id(course_id)
    period = period_of(first, last)

    def read(answers: Sequence[Rows], missing: Mapping[str, ElearningError]) -> CourseFunnel:
        there, rows = answers
        _check(there, course_id)
        found = [(row[0], *map(int, row[1:])) for row in rows]
        return CourseFunnel(course_id, funnels.total(found), funnels.by_month(found), missing)

    values = {"course_id": course_id, **period.values}
    return Figures([Part(_COURSE, course_id), Part(_FUNNEL)], read, values)


def course_revenue(
    course_id: UUID, *, first: date | None = None, last: date | None = None
) -> Figures[CourseRevenueReport]:
    """Return the figures of what was paid for a course, by month and currency.

    Args:
        course_id: the course.
        first: see `course_funnel`.
        last: see `course_funnel`.

    Raises:
        InvalidId, InvalidPeriod, CourseNotFound: see `course_funnel`.
    """
    course_id = parse_id(course_id)
    period = period_of(first, last)

    def read(answers: Sequence[Rows], missing: Mapping[str, ElearningError]) -> CourseRevenueReport:
        there, rows = answers
        _check(there, course_id)
        found = revenues.amounts(rows)
        return CourseRevenueReport(
            course_id, revenues.by_currency(found), revenues.by_month(found), missing
        )

    values = {"course_id": course_id, **period.values}
    return Figures([Part(_COURSE, course_id), Part(_REVENUE)], read, values)


def _check(there: Rows, course_id: UUID) -> None:
    if not there:
        raise CourseNotFound(course_id=course_id)
