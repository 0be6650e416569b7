"""How far a student is in a lesson."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, Numeric, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.course_lesson import CourseLesson
from elearning.models.enrollment import Enrollment
from elearning.models.types import same_home

__all__ = ["LessonProgress"]


class LessonProgress(Regional):
    """One row for every lesson of an enrollment's course, from the first day on."""

    __tablename__ = "lesson_progress"
    __owner__ = "enrollment"
    __counted_in__ = "enrollment"

    enrollment_id: Mapped[UUID] = mapped_column(ForeignKey(Enrollment.id, ondelete="CASCADE"))
    lesson_id: Mapped[UUID] = mapped_column(
        ForeignKey(CourseLesson.id, ondelete="RESTRICT"), index=True
    )
    completed: Mapped[bool] = mapped_column(default=False, server_default=false())
    completion_date: Mapped[datetime | None]
    time_spent: Mapped[int] = mapped_column(
        Integer, default=0, server_default="0", comment="seconds"
    )
    archived: Mapped[bool] = mapped_column(
        server_default=false(),
        comment="whether its lesson is archived, so that it does not count; "
        "kept by the trigger update_enrolled_lessons",
    )
    last_position: Mapped[int | None] = mapped_column(Integer, comment="seconds into the video")
    watched: Mapped[int] = mapped_column(
        Integer,
        default=0,
        server_default="0",
        comment="seconds of the video that were played, each counted once, as the player tells",
    )
    best_score: Mapped[Decimal | None] = mapped_column(
        Numeric(5, 2), comment="of the attempts, 0 to 100; NULL: none yet"
    )
    last_accessed: Mapped[datetime | None] = mapped_column(comment="when it was last worked on")

    enrollment: Mapped[Enrollment] = relationship(back_populates="lesson_progress", lazy="raise")
    lesson: Mapped[CourseLesson] = relationship(lazy="raise")

    __table_args__ = (
        same_home("enrollment_id"),
        CheckConstraint("time_spent >= 0", name="time_spent"),
        CheckConstraint("last_position >= 0", name="last_position"),
        CheckConstraint("watched >= 0", name="watched"),
        CheckConstraint("best_score BETWEEN 0 AND 100", name="best_score"),
        CheckConstraint("completed = (completion_date IS NOT NULL)", name="completion_date"),
        UniqueConstraint("enrollment_id", "lesson_id"),
        {
            "comment": "How far a student is in a lesson",
            "info": {"fixed": ("enrollment_id", "lesson_id")},
        },
    )
