"""Lists of published courses: the most popular, the newest, the best rated."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import Integer, Numeric, Select, cast, literal, select

from elearning.crud.catalog.course_filters import NO_FILTERS, CourseFilters
from elearning.crud.listing import Listing
from elearning.crud.statements import constant
from elearning.models import Course, CoursePopularity, CourseStatus
from elearning.text import checked_choice

__all__ = [
    "CourseOrder",
    "best_rated_courses",
    "list_courses",
    "newest_courses",
    "popular_courses",
]


class CourseOrder(StrEnum):
    """What courses are listed by."""

    POPULAR = "popular"
    NEWEST = "newest"
    BEST_RATED = "best_rated"


def popular_courses(filters: CourseFilters = NO_FILTERS) -> Listing[Course]:
    """Return published courses, those that most people worldwide take first.

    Each shard counts this for all courses of the world: ask one of them, by ``page``.
    """
    return _listing(CourseOrder.POPULAR, filters)


def newest_courses(filters: CourseFilters = NO_FILTERS) -> Listing[Course]:
    """Return published courses, those that were published last first."""
    return _listing(CourseOrder.NEWEST, filters)


def best_rated_courses(filters: CourseFilters = NO_FILTERS) -> Listing[Course]:
    """Return published courses, the best rated ones first; few votes do not distort it.

    By `elearning.models.WEIGHTED_RATING`, a Bayesian average that adds ten votes of 3.5.
    """
    return _listing(CourseOrder.BEST_RATED, filters)


def list_courses(
    order: CourseOrder | str = CourseOrder.POPULAR, *, filters: CourseFilters = NO_FILTERS
) -> Listing[Course]:
    """Return published courses in an order.

    ::

        page = list_courses("newest", filters=CourseFilters(language="de")).page(session)

    Args:
        order: what comes first.
        filters: which courses are wanted.

    Raises:
        InvalidText: there is no such order.
    """
    return _listing(checked_choice("order", order, CourseOrder), filters)


# As the index has it, with its numbers in the SQL itself.
_weighted_rating = cast(Course.rating_sum + literal(35, Integer, literal_execute=True), Numeric) / (
    Course.total_ratings + literal(10, Integer, literal_execute=True)
)


# To build a statement anew takes as long as to run it.
@lru_cache(maxsize=256)
def _listing(order: CourseOrder, filters: CourseFilters) -> Listing[Course]:
    published = Course.status == constant(CourseStatus.PUBLISHED, Course.status)
    statement: Select[Any] = select(Course)
    match order:
        case CourseOrder.POPULAR:
            by = CoursePopularity
            statement = (
                statement.select_from(by)
                .join(Course, Course.id == by.course_id)
                .order_by(by.enrollments.desc(), by.course_id.desc())
            )
        case CourseOrder.NEWEST:
            # So a check says already; the page has to know that no date is NULL.
            statement = statement.where(Course.published_at.is_not(None))
            statement = statement.order_by(Course.published_at.desc())
        case CourseOrder.BEST_RATED:
            statement = statement.order_by(_weighted_rating.desc())
    return Listing(statement.where(published, *filters.conditions(Course).values()))
