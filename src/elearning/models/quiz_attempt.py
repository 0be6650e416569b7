"""How a student did in a quiz or an assignment."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, Numeric, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.course_lesson import CourseLesson
from elearning.models.enrollment import Enrollment
from elearning.models.types import same_home

__all__ = ["QuizAttempt"]


class QuizAttempt(Regional):
    """One of any number; it is written once and stays as it is."""

    __tablename__ = "quiz_attempts"
    __owner__ = "enrollment"

    enrollment_id: Mapped[UUID] = mapped_column(ForeignKey(Enrollment.id, ondelete="CASCADE"))
    lesson_id: Mapped[UUID] = mapped_column(
        ForeignKey(CourseLesson.id, ondelete="RESTRICT"), index=True
    )
    number: Mapped[int] = mapped_column(Integer, comment="of the student's attempts at it, from 1")
    score: Mapped[Decimal] = mapped_column(Numeric(5, 2), comment="0 to 100")
    answers: Mapped[Any] = mapped_column(
        JSONB(none_as_null=True), nullable=True, comment="what was answered, as the client tells"
    )
    submitted_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="when it was handed in"
    )

    enrollment: Mapped[Enrollment] = relationship(lazy="raise")
    lesson: Mapped[CourseLesson] = relationship(lazy="raise")

    __table_args__ = (
        same_home("enrollment_id"),
        CheckConstraint("number > 0", name="number"),
        CheckConstraint("score BETWEEN 0 AND 100", name="score"),
        UniqueConstraint("enrollment_id", "lesson_id", "number"),
        {
            "comment": "How students did in quizzes and assignments; rows are only added",
            "info": {
                "fixed": (
                    "enrollment_id",
                    "lesson_id",
                    "number",
                    "score",
                    "answers",
                    "submitted_at",
                )
            },
        },
    )
