"""What a student has to show for a course."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.enrollment import Enrollment
from elearning.models.types import not_blank, same_home

__all__ = ["Certificate"]


class Certificate(Regional):
    """It says what was so when it was issued, whatever names become later."""

    __tablename__ = "certificates"
    __owner__ = "enrollment"

    enrollment_id: Mapped[UUID] = mapped_column(ForeignKey(Enrollment.id, ondelete="CASCADE"))
    code: Mapped[str] = mapped_column(
        String(32), unique=True, comment="public; its first sign tells the region"
    )
    recipient_name: Mapped[str] = mapped_column(String(201), comment="the student's, as it was")
    course_title: Mapped[str] = mapped_column(String(300), comment="as it was")
    instructor_name: Mapped[str] = mapped_column(String(201), comment="as it was")
    grade: Mapped[Decimal | None] = mapped_column(
        Numeric(5, 2), comment="mean of the best scores, 0 to 100; NULL: nothing was scored"
    )
    completion_date: Mapped[datetime]
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="when it began")
    revoked_at: Mapped[datetime | None] = mapped_column(comment="NULL: it is good")
    revocation_reason: Mapped[str | None] = mapped_column(Text, comment="why it was revoked")

    enrollment: Mapped[Enrollment] = relationship(lazy="raise")

    __table_args__ = (
        same_home("enrollment_id"),
        not_blank("code"),
        not_blank("recipient_name"),
        CheckConstraint("grade BETWEEN 0 AND 100", name="grade"),
        CheckConstraint(
            "(revoked_at IS NULL) = (revocation_reason IS NULL)", name="revocation_reason"
        ),
        Index("idx_certificates_enrollment_id", "enrollment_id"),
        Index(
            "uq_certificates_enrollment_id",
            "enrollment_id",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
        {
            "comment": "What students have to show for a course; frozen but for revocation",
            "info": {
                "fixed": (
                    "enrollment_id",
                    "code",
                    "recipient_name",
                    "course_title",
                    "instructor_name",
                    "grade",
                    "completion_date",
                    "issued_at",
                )
            },
        },
    )
