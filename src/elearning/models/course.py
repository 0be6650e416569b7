"""Courses."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    FetchedValue,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Global
from elearning.models.course_category import CourseCategory
from elearning.models.types import (
    currency_check,
    enum_type,
    home_unique,
    not_blank,
    same_home,
)
from elearning.models.user import User
from elearning.money import from_minor

if TYPE_CHECKING:
    from elearning.models.course_module import CourseModule
    from elearning.models.enrollment import Enrollment

__all__ = ["WEIGHTED_RATING", "Course", "CourseLevel", "CourseStatus"]

WEIGHTED_RATING = "(rating_sum + 35)::numeric / (total_ratings + 10)"
"""SQL for a rating that few votes do not distort: ten votes of 3.5 are added to a course's own.

This is the Bayesian average, (C·m + Σ votes) / (C + n), with C = 10 and m = 3.5, that IMDb
describes for its Top 250: https://en.wikipedia.org/wiki/Bayesian_average
"""


class CourseLevel(StrEnum):
    """What a course expects of its students."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"


class CourseStatus(StrEnum):
    """A course is archived, never deleted: its enrollments stay."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


class Course(Global):
    """A course; its home is its instructor's region."""

    __tablename__ = "courses"
    __owner__ = "instructor"

    course_code: Mapped[str] = mapped_column(String(50), comment="such as PY-101")
    slug: Mapped[str] = mapped_column(String(150), comment="the title as a part of a URL")
    title: Mapped[str] = mapped_column(String(300))
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    instructor_id: Mapped[UUID] = mapped_column(comment="a user of the course's home region")
    instructor_name: Mapped[str] = mapped_column(
        String(201),
        server_default="",
        server_onupdate=FetchedValue(),
        comment="all of the instructor that leaves home; kept by the triggers keep_instructor_name",
    )
    category_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(CourseCategory.id, ondelete="RESTRICT"), index=True
    )
    level: Mapped[CourseLevel] = mapped_column(
        enum_type(CourseLevel),
        default=CourseLevel.BEGINNER,
        server_default="beginner",
        comment="what the course expects of its students",
    )
    price_minor: Mapped[int] = mapped_column(
        "price",
        BigInteger,
        default=0,
        server_default="0",
        comment="in the minor unit of the currency, before tax",
    )
    currency: Mapped[str] = mapped_column(String(3), comment="ISO 4217")
    duration_hours: Mapped[Decimal | None] = mapped_column(Numeric(6, 2))
    language: Mapped[str] = mapped_column(String(35), comment="BCP 47 tag")
    status: Mapped[CourseStatus] = mapped_column(
        enum_type(CourseStatus), default=CourseStatus.DRAFT, server_default="draft"
    )
    max_enrollments: Mapped[int | None] = mapped_column(Integer, comment="seats; NULL: no limit")
    enrollment_opens_at: Mapped[datetime | None] = mapped_column(
        comment="enrollments are taken from then on; NULL: from publication"
    )
    enrollment_closes_at: Mapped[datetime | None] = mapped_column(
        comment="enrollments are taken until then; NULL: while it is published"
    )
    access_days: Mapped[int | None] = mapped_column(
        Integer, comment="an enrollment expires after so many days; NULL: never"
    )
    rating_sum: Mapped[int] = mapped_column(
        BigInteger,
        server_default="0",
        comment="kept, with total_ratings, by the triggers sum_course_ratings; of all regions",
    )
    total_ratings: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="how many reviews there are, in all regions"
    )
    rating: Mapped[Decimal | None] = mapped_column(
        Numeric(3, 2),
        Computed("round(rating_sum::numeric / NULLIF(total_ratings, 0), 2)", persisted=True),
        comment="mean of the reviews; NULL: none yet",
    )
    published_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]

    instructor: Mapped[User] = relationship(lazy="raise")
    category: Mapped[CourseCategory | None] = relationship(back_populates="courses", lazy="raise")
    modules: Mapped[list[CourseModule]] = relationship(
        back_populates="course",
        lazy="raise",
        order_by="CourseModule.position",
        passive_deletes="all",
    )
    enrollments: Mapped[list[Enrollment]] = relationship(
        back_populates="course", lazy="raise", passive_deletes="all"
    )

    __table_args__ = (
        # NOT VALID: enforced for what is written here, silent for a copied course
        # whose instructor lives elsewhere, also after a restore. By ALTER TABLE,
        # for inside CREATE TABLE PostgreSQL ignores NOT VALID.
        ForeignKeyConstraint(
            ["instructor_id"],
            [User.id],
            ondelete="RESTRICT",
            use_alter=True,
            name="fk_courses_instructor_id",
            postgresql_not_valid=True,
        ),
        same_home("instructor_id"),
        not_blank("course_code"),
        not_blank("slug"),
        not_blank("title"),
        not_blank("language"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("max_enrollments > 0", name="max_enrollments"),
        CheckConstraint("access_days BETWEEN 1 AND 36500", name="access_days"),
        CheckConstraint("duration_hours >= 0", name="duration_hours"),
        CheckConstraint("enrollment_closes_at > enrollment_opens_at", name="enrollment_closes_at"),
        CheckConstraint("total_ratings >= 0", name="total_ratings"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        CheckConstraint("status <> 'published' OR published_at IS NOT NULL", name="published_at"),
        CheckConstraint("status <> 'archived' OR archived_at IS NOT NULL", name="archived_at"),
        currency_check(),
        home_unique("uq_courses_course_code", "course_code"),
        home_unique("uq_courses_slug", "slug"),
        Index("idx_courses_instructor_id", "instructor_id", "created_at", "id"),
        # To count by, without the rows themselves.
        Index(
            "idx_courses_category_published",
            "category_id",
            postgresql_where=text("status = 'published'"),
        ),
        Index("idx_courses_created_at", "created_at", "id"),
        Index("idx_courses_rating", text("rating DESC NULLS LAST"), "id"),
        Index(
            "idx_courses_weighted_rating",
            text(f"({WEIGHTED_RATING})"),
            "id",
            postgresql_where=text("status = 'published'"),
        ),
        Index(
            "idx_courses_published_at",
            "published_at",
            "id",
            postgresql_where=text("status = 'published'"),
        ),
        {
            "comment": "Courses; archived, never deleted",
            # Each shard sums them up for itself, from course_statistics.
            "info": {"not_copied": ("rating_sum", "total_ratings")},
        },
    )

    @property
    def price(self) -> Decimal:
        """The price before tax, in the currency's major unit."""
        return from_minor(self.price_minor, self.currency)
