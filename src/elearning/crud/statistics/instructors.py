"""Figures of one instructor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Uuid, bindparam, distinct, func, select

from elearning.crud.statements import constant
from elearning.crud.statistics import revenues
from elearning.crud.statistics.figures import Figures, Part, Rows
from elearning.crud.statistics.funnels import ratio
from elearning.crud.statistics.periods import period_key, period_of
from elearning.crud.statistics.revenues import MonthRevenue, Revenue
from elearning.errors import ElearningError, UserNotFound
from elearning.ids import parse_id
from elearning.models import (
    Course,
    CoursePopularity,
    CourseRevenue,
    CourseStatus,
    Enrollment,
    EnrollmentStatus,
    User,
)

__all__ = [
    "InstructorRevenueReport",
    "InstructorStatistics",
    "instructor_revenue",
    "instructor_statistics",
]


@dataclass(frozen=True, slots=True)
class InstructorStatistics:
    """What became of an instructor's courses, worldwide.

    Attributes:
        instructor_id: the instructor.
        courses: how many there are, by status.
        enrollments: that are active or completed.
        completions: those of them that are completed.
        active_students: how many people have an active enrollment; each counts once.
        total_ratings: how many reviews there are that are not hidden.
        rating: their mean, 1 to 5; None: there is none.
        revenue: what was paid for the courses, by currency.
        missing: why shards are not counted in `active_students` and `revenue`; only with
            ``on_shard_error="partial"``.
    """

    instructor_id: UUID
    courses: Mapping[CourseStatus, int]
    enrollments: int
    completions: int
    active_students: int
    total_ratings: int
    rating: Decimal | None
    revenue: Mapping[str, Revenue]
    missing: Mapping[str, ElearningError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstructorRevenueReport:
    """What was paid for an instructor's courses.

    Attributes:
        instructor_id: the instructor.
        total: all that was ever paid, by currency.
        months: what was paid in the period, by month and currency; without empty months.
        missing: why shards are not counted; only with ``on_shard_error="partial"``.
    """

    instructor_id: UUID
    total: Mapping[str, Revenue]
    months: Sequence[MonthRevenue]
    missing: Mapping[str, ElearningError] = field(default_factory=dict)


_ID = bindparam("instructor_id", type_=Uuid)
_INSTRUCTOR = select(User.id).where(User.id == _ID)
_COURSES = (
    select(
        Course.status,
        func.count(Course.id),
        func.coalesce(func.sum(CoursePopularity.enrollments), 0),
        func.coalesce(func.sum(CoursePopularity.completions), 0),
        func.coalesce(func.sum(Course.total_ratings), 0),
        func.coalesce(func.sum(Course.rating_sum), 0),
    )
    .select_from(User)
    .join(Course, Course.instructor_id == User.id, isouter=True)
    .join(CoursePopularity, CoursePopularity.course_id == Course.id, isouter=True)
    .where(User.id == _ID)
    .group_by(Course.status)
)
_STUDENTS = (
    select(func.count(distinct(Enrollment.user_id)))
    .join(Course, Course.id == Enrollment.course_id)
    .where(
        Course.instructor_id == _ID,
        Enrollment.status == constant(EnrollmentStatus.ACTIVE, Enrollment.status),
    )
)
_r = CourseRevenue
_SUMS = (func.sum(_r.payments), func.sum(_r.paid), func.sum(_r.refunds), func.sum(_r.refunded))
_PAID = (
    select(_r.currency, *_SUMS)
    .join(Course, Course.id == _r.course_id)
    .where(Course.instructor_id == _ID)
    .group_by(_r.currency)
)
_MONTH = period_key(_r.month)
_PAID_BY_MONTH = (
    select(_MONTH, _r.currency, *_SUMS)
    .join(Course, Course.id == _r.course_id)
    .where(Course.instructor_id == _ID)
    .group_by(_MONTH, _r.currency)
)


def instructor_statistics(instructor_id: UUID) -> Figures[InstructorStatistics]:
    """Return the figures of an instructor's courses.

    Args:
        instructor_id: the instructor.

    Raises:
        InvalidId: no id.
        UserNotFound: there is no such user; raised by the reading.
    """
    instructor_id = parse_id(instructor_id)

    def read(
        answers: Sequence[Rows], missing: Mapping[str, ElearningError]
    ) -> InstructorStatistics:
        by_status, active, money = answers
        _check(by_status, instructor_id)
        numbers = [sum(int(row[column]) for row in by_status) for column in range(2, 6)]
        return InstructorStatistics(
            instructor_id,
            # A user without courses is one row without a status.
            courses={row[0]: row[1] for row in by_status if row[0] is not None},
            enrollments=numbers[0],
            completions=numbers[1],
            active_students=active[0][0],
            total_ratings=numbers[2],
            rating=ratio(numbers[3], numbers[2]),
            revenue=revenues.by_currency(revenues.amounts([(None, *row) for row in money])),
            missing=missing,
        )

    parts = [Part(_COURSES, instructor_id), Part(_STUDENTS), Part(_PAID)]
    return Figures(parts, read, {"instructor_id": instructor_id})


def instructor_revenue(
    instructor_id: UUID, *, first: date | None = None, last: date | None = None
) -> Figures[InstructorRevenueReport]:
    """Return the figures of what was paid for an instructor's courses, by month and currency.

    Args:
        instructor_id: the instructor.
        first: a day of the first month (UTC); default: eleven months before the last.
        last: a day of the last month; default: this month.

    Raises:
        InvalidId: no id.
        InvalidPeriod: more than 120 months, or the wrong way around.
        UserNotFound: there is no such user; raised by the reading.
    """
    instructor_id = parse_id(instructor_id)
    period = period_of(first, last)

    def read(
        answers: Sequence[Rows], missing: Mapping[str, ElearningError]
    ) -> InstructorRevenueReport:
        there, rows = answers
        _check(there, instructor_id)
        found = revenues.amounts(rows)
        return InstructorRevenueReport(
            instructor_id, revenues.by_currency(found), revenues.by_month(found), missing
        )

    values = {"instructor_id": instructor_id, **period.values}
    return Figures([Part(_INSTRUCTOR, instructor_id), Part(_PAID_BY_MONTH)], read, values)


def _check(there: Rows, instructor_id: UUID) -> None:
    if not there:
        raise UserNotFound(user_id=instructor_id)
