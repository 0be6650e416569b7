"""The lessons of a module."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Global
from elearning.models.course_module import CourseModule
from elearning.models.types import enum_type, not_blank, same_home

__all__ = ["CompletionRule", "CourseLesson", "LessonType"]


class LessonType(StrEnum):
    """What a student does in a lesson."""

    VIDEO = "video"
    READING = "reading"
    QUIZ = "quiz"
    ASSIGNMENT = "assignment"


class CompletionRule(StrEnum):
    """When a lesson is completed."""

    VIEWED = "viewed"
    WATCHED = "watched"
    SCORE = "score"


class CourseLesson(Global):
    """A lesson; what it shows is a document of MongoDB's ``course_content``."""

    __tablename__ = "course_lessons"
    __owner__ = "module"

    module_id: Mapped[UUID] = mapped_column(ForeignKey(CourseModule.id, ondelete="RESTRICT"))
    position: Mapped[int] = mapped_column(Integer, comment="order in the module, from 1")
    title: Mapped[str] = mapped_column(String(300))
    lesson_type: Mapped[LessonType] = mapped_column(
        enum_type(LessonType), comment="what a student does in it"
    )
    content_id: Mapped[UUID | None] = mapped_column(
        index=True, comment="course_content.content_id in MongoDB; NULL: no content yet"
    )
    duration_minutes: Mapped[int | None] = mapped_column(Integer)
    is_preview: Mapped[bool] = mapped_column(
        default=False, server_default=false(), comment="open to people who are not enrolled"
    )
    completion_rule: Mapped[CompletionRule] = mapped_column(
        enum_type(CompletionRule),
        default=CompletionRule.VIEWED,
        server_default="viewed",
        comment="when it is completed",
    )
    completion_threshold: Mapped[int | None] = mapped_column(
        Integer, comment="percent of the video, or of the score; NULL: viewing is enough"
    )
    archived_at: Mapped[datetime | None] = mapped_column(
        comment="from then on it counts in no progress; NULL: it counts"
    )

    module: Mapped[CourseModule] = relationship(back_populates="lessons", lazy="raise")

    __table_args__ = (
        same_home("module_id"),
        not_blank("title"),
        CheckConstraint("position > 0", name="position"),
        CheckConstraint("duration_minutes >= 0", name="duration_minutes"),
        CheckConstraint(
            "(completion_rule = 'viewed') = (completion_threshold IS NULL)",
            name="completion_threshold_rule",
        ),
        CheckConstraint("completion_threshold BETWEEN 1 AND 100", name="completion_threshold"),
        UniqueConstraint("module_id", "position"),
        {"comment": "The lessons of a module"},
    )
