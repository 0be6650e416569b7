"""The chapters of a course."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Global
from elearning.models.course import Course
from elearning.models.types import not_blank, same_home

if TYPE_CHECKING:
    from elearning.models.course_lesson import CourseLesson

__all__ = ["CourseModule"]


class CourseModule(Global):
    """A chapter."""

    __tablename__ = "course_modules"
    __owner__ = "course"

    course_id: Mapped[UUID] = mapped_column(ForeignKey(Course.id, ondelete="RESTRICT"))
    position: Mapped[int] = mapped_column(Integer, comment="order in the course, from 1")
    title: Mapped[str] = mapped_column(String(300))
    description: Mapped[str] = mapped_column(Text, default="", server_default="")

    course: Mapped[Course] = relationship(back_populates="modules", lazy="raise")
    lessons: Mapped[list[CourseLesson]] = relationship(
        back_populates="module",
        lazy="raise",
        order_by="CourseLesson.position",
        passive_deletes="all",
    )

    __table_args__ = (
        same_home("course_id"),
        not_blank("title"),
        CheckConstraint("position > 0", name="position"),
        UniqueConstraint("course_id", "position"),
        {"comment": "The chapters of a course", "info": {"fixed": ("course_id",)}},
    )
