"""What students think of a course."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.course import Course
from elearning.models.enrollment import Enrollment
from elearning.models.types import same_home

if TYPE_CHECKING:
    from elearning.models.review_report import ReviewReport

__all__ = ["CourseReview"]


class CourseReview(Regional):
    """One per enrollment."""

    __tablename__ = "course_reviews"
    __owner__ = "enrollment"
    __counted_in__ = "course"

    enrollment_id: Mapped[UUID] = mapped_column(unique=True)
    course_id: Mapped[UUID] = mapped_column(ForeignKey(Course.id, ondelete="RESTRICT"))
    rating: Mapped[int] = mapped_column(SmallInteger, comment="1 (worst) to 5 (best)")
    review_text: Mapped[str] = mapped_column(Text, default="", server_default="")
    answer: Mapped[str | None] = mapped_column(Text, comment="the instructor's")
    answered_at: Mapped[datetime | None] = mapped_column(comment="when the answer was written")
    hidden_at: Mapped[datetime | None] = mapped_column(
        comment="from then on it is neither shown nor counted; NULL: it is"
    )
    hidden_reason: Mapped[str | None] = mapped_column(Text, comment="why it is hidden")

    enrollment: Mapped[Enrollment] = relationship(
        back_populates="review",
        lazy="raise",
        # By the id alone: course_id is the application's to set, and checked by the key.
        primaryjoin=lambda: CourseReview.enrollment_id == Enrollment.id,
        foreign_keys=lambda: CourseReview.enrollment_id,
    )
    course: Mapped[Course] = relationship(lazy="raise")
    reports: Mapped[list[ReviewReport]] = relationship(
        back_populates="review", lazy="raise", passive_deletes="all"
    )

    __table_args__ = (
        ForeignKeyConstraint(
            ["enrollment_id", "course_id"],
            [Enrollment.id, Enrollment.course_id],
            ondelete="CASCADE",
        ),
        same_home("enrollment_id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="answered_at"),
        CheckConstraint("(hidden_at IS NULL) = (hidden_reason IS NULL)", name="hidden_reason"),
        Index("idx_course_reviews_course_id", "course_id", "created_at", "id"),
        Index("idx_course_reviews_rating", "course_id", "rating", "created_at", "id"),
        {
            "comment": "What students think of a course",
            "info": {"fixed": ("enrollment_id", "course_id")},
        },
    )
