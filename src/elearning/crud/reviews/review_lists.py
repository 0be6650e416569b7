"""Reviews of a course and of a user, and how often each rating was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select

from elearning.crud.listing import Listing
from elearning.crud.reviews.reviews import checked_rating
from elearning.models import Course, CourseRating, CourseReview, Enrollment, User
from elearning.regions import Region
from elearning.routing import Reader
from elearning.text import checked_choice

__all__ = [
    "ListedReview",
    "Ratings",
    "ReviewOrder",
    "WrittenReview",
    "list_course_reviews",
    "list_user_reviews",
    "ratings_of",
]


class ReviewOrder(StrEnum):
    """What comes first in a list of reviews."""

    NEWEST = "newest"
    HIGHEST = "highest"
    """Among equal ratings the newest."""
    LOWEST = "lowest"
    """Among equal ratings the oldest."""


@dataclass(frozen=True, slots=True)
class ListedReview:
    """A review of a course, and who wrote it."""

    review_id: UUID
    rating: int
    text: str
    created_at: datetime
    updated_at: datetime
    answer: str | None
    answered_at: datetime | None
    hidden_at: datetime | None
    hidden_reason: str | None
    reviewer_id: UUID
    reviewer_first_name: str


@dataclass(frozen=True, slots=True)
class WrittenReview:
    """A review by a user, and what it is of."""

    review_id: UUID
    rating: int
    text: str
    created_at: datetime
    updated_at: datetime
    answer: str | None
    answered_at: datetime | None
    hidden_at: datetime | None
    hidden_reason: str | None
    enrollment_id: UUID
    course_id: UUID
    course_title: str


_SHOWN = (
    CourseReview.id,
    CourseReview.rating,
    CourseReview.review_text,
    CourseReview.created_at,
    CourseReview.updated_at,
    CourseReview.answer,
    CourseReview.answered_at,
    CourseReview.hidden_at,
    CourseReview.hidden_reason,
)

# Not by joins: then the order of a page is the review's alone, and one index answers it.
_REVIEWER_ID = (
    select(Enrollment.user_id)
    .where(Enrollment.id == CourseReview.enrollment_id)
    .correlate(CourseReview)
    .scalar_subquery()
)
_REVIEWER_NAME = (
    select(User.first_name)
    .join_from(Enrollment, User, User.id == Enrollment.user_id)
    .where(Enrollment.id == CourseReview.enrollment_id)
    .correlate(CourseReview)
    .scalar_subquery()
)

_REVIEWS = select(*_SHOWN, _REVIEWER_ID, _REVIEWER_NAME)
_WRITTEN = (
    select(*_SHOWN, CourseReview.enrollment_id, CourseReview.course_id, Course.title)
    .join_from(CourseReview, Enrollment, Enrollment.id == CourseReview.enrollment_id)
    .join(Course, Course.id == CourseReview.course_id)
)

_NEWEST = (CourseReview.created_at.desc(), CourseReview.id.desc())
# One direction for all keys: then an index goes on where a page ended.
_ORDERS = {
    ReviewOrder.NEWEST: _NEWEST,
    ReviewOrder.HIGHEST: (CourseReview.rating.desc(), *_NEWEST),
    ReviewOrder.LOWEST: (CourseReview.rating, CourseReview.created_at, CourseReview.id),
}


def list_course_reviews(
    course_id: UUID,
    *,
    order: ReviewOrder | str = ReviewOrder.NEWEST,
    rating: int | None = None,
    hidden: bool = False,
) -> Listing[ListedReview]:
    """List the reviews of a course with their writers.

    A page of a session holds those of its region's shard, for they live with their writers; one
    of ``everywhere`` the world's.

    Args:
        course_id: which course.
        order: what comes first.
        rating: only those with it.
        hidden: whether hidden ones are in the list, too.

    Raises:
        InvalidText: there is no such order.
        InvalidRating: no rating of 1 to 5.
    """
    statement = _REVIEWS.where(CourseReview.course_id == course_id).order_by(
        *_ORDERS[checked_choice("order", order, ReviewOrder)]
    )
    if rating is not None:
        statement = statement.where(CourseReview.rating == checked_rating(rating))
    return Listing(_seen(statement, hidden=hidden), lambda row: ListedReview(*row))


def list_user_reviews(user_id: UUID, *, hidden: bool = False) -> Listing[WrittenReview]:
    """List the reviews that a user has written, the newest first.

    Args:
        user_id: who wrote them.
        hidden: whether hidden ones are in the list, too.
    """
    statement = _WRITTEN.where(Enrollment.user_id == user_id).order_by(*_NEWEST)
    return Listing(_seen(statement, hidden=hidden), lambda row: WrittenReview(*row))


def _seen(statement: Select[*tuple[Any, ...]], *, hidden: bool) -> Select[Any]:
    return statement if hidden else statement.where(CourseReview.hidden_at.is_(None))


@dataclass(frozen=True, slots=True)
class Ratings:
    """How often each rating was given; hidden reviews do not count.

    Attributes:
        numbers: by rating, 1 to 5.
    """

    numbers: Mapping[int, int]

    @property
    def total(self) -> int:
        """How many reviews there are."""
        return sum(self.numbers.values())

    @property
    def mean(self) -> Decimal | None:
        """The mean rating, with two decimals; None: there is none."""
        if not self.total:
            return None
        points = sum(rating * number for rating, number in self.numbers.items())
        # Half a cent of a star goes up, as in PostgreSQL.
        return Decimal((200 * points + self.total) // (2 * self.total)).scaleb(-2)


def ratings_of(session: Reader, course_id: UUID, *, region: Region | str | None = None) -> Ratings:
    """Return how often each rating was given to a course, from counters that every shard has.

    Those of a region are right at once on its shard, and soon on all others.

    Args:
        session: a session; it reads in its own region.
        course_id: which course.
        region: only from the people of this region; default: from the whole world.

    Raises:
        UnknownRegion: there is no such region.
    """
    statement = (
        select(CourseRating.rating, func.sum(CourseRating.number))
        .where(CourseRating.course_id == course_id)
        .group_by(CourseRating.rating)
    )
    if region is not None:
        statement = statement.where(CourseRating.region_code == Region.parse(region).code)
    found = {rating: int(number) for rating, number in session.execute(statement)}
    return Ratings({rating: found.get(rating, 0) for rating in range(1, 6)})
