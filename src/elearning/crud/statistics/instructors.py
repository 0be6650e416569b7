"""Figures of one instructor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import distinct, func, select

from elearning.crud.statements import constant
from elearning.crud.statistics import revenues
from elearning.crud.statistics.figures import Figures, Part, Rows
from elearning.crud.statistics.funnels import ratio
from elearning.crud.statistics.periods import period_of
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


def instructor_statistics(instructor_id: UUID) -> Figures[InstructorStatistics]:
    """Return the figures of an instructor's courses.

    Args:
        instructor_id: the instructor.

    Raises:
        InvalidId: no id.
        UserNotFound: there is no such user; raised by the reading.
    """
    instructor_id = parse_id(instructor_id)
    popularity = CoursePopularity
    courses = (
        select(
            Course.status,
            func.count(Course.id),
            func.coalesce(func.sum(popularity.enrollments), 0),
            func.coalesce(func.sum(popularity.completions), 0),
            func.coalesce(func.sum(Course.total_ratings), 0),
            func.coalesce(func.sum(Course.rating_sum), 0),
        )
        .select_from(User)
        .join(Course, Course.instructor_id == User.id, isouter=True)
        .join(popularity, popularity.course_id == Course.id, isouter=True)
        .where(User.id == instructor_id)
        .group_by(Course.status)
    )
    students = (
        select(func.count(distinct(Enrollment.user_id)))
        .join(Course, Course.id == Enrollment.course_id)
        .where(
            Course.instructor_id == instructor_id,
            Enrollment.status == constant(EnrollmentStatus.ACTIVE, Enrollment.status),
        )
    )
    r = CourseRevenue
    paid = (
        select(
            r.currency,
            func.sum(r.payments),
            func.sum(r.paid),
            func.sum(r.refunds),
            func.sum(r.refunded),
        )
        .join(Course, Course.id == r.course_id)
        .where(Course.instructor_id == instructor_id)
        .group_by(r.currency)
    )

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

    return Figures([Part(courses, instructor_id), Part(students), Part(paid)], read)


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
    r = CourseRevenue
    month = period_of(first, last).key(r.month)
    paid = (
        select(
            month,
            r.currency,
            func.sum(r.payments),
            func.sum(r.paid),
            func.sum(r.refunds),
            func.sum(r.refunded),
        )
        .join(Course, Course.id == r.course_id)
        .where(Course.instructor_id == instructor_id)
        .group_by(month, r.currency)
    )

    def read(
        answers: Sequence[Rows], missing: Mapping[str, ElearningError]
    ) -> InstructorRevenueReport:
        there, rows = answers
        _check(there, instructor_id)
        found = revenues.amounts(rows)
        return InstructorRevenueReport(
            instructor_id, revenues.by_currency(found), revenues.by_month(found), missing
        )

    there = select(User.id).where(User.id == instructor_id)
    return Figures([Part(there, instructor_id), Part(paid)], read)


def _check(there: Rows, instructor_id: UUID) -> None:
    if not there:
        raise UserNotFound(user_id=instructor_id)
