"""What people find wrong with a review."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.course_review import CourseReview
from elearning.models.types import enum_type, same_home

__all__ = ["ReportReason", "ReviewReport"]


class ReportReason(StrEnum):
    """What is wrong with a review."""

    SPAM = "spam"
    ABUSE = "abuse"
    OFF_TOPIC = "off_topic"
    OTHER = "other"


class ReviewReport(Regional):
    """One per review and reporter; it lives with the review."""

    __tablename__ = "review_reports"
    __owner__ = "review"

    review_id: Mapped[UUID] = mapped_column(ForeignKey(CourseReview.id, ondelete="CASCADE"))
    reporter_id: Mapped[UUID] = mapped_column(comment="a user, of any region")
    reason: Mapped[ReportReason] = mapped_column(
        enum_type(ReportReason), comment="what is wrong with the review"
    )
    report_text: Mapped[str] = mapped_column(
        Text, default="", server_default="", comment="in the reporter's words"
    )
    resolved_at: Mapped[datetime | None] = mapped_column(
        comment="when somebody has looked at it; NULL: it is open"
    )

    review: Mapped[CourseReview] = relationship(back_populates="reports", lazy="raise")

    __table_args__ = (
        same_home("review_id"),
        UniqueConstraint("review_id", "reporter_id"),
        Index(
            "idx_review_reports_created_at",
            "created_at",
            "id",
            postgresql_where=text("resolved_at IS NULL"),
        ),
        {
            "comment": "What people find wrong with reviews, beside the review",
            "info": {"fixed": ("review_id", "reporter_id", "reason", "report_text")},
        },
    )
