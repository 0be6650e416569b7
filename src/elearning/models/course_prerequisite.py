"""Which courses come before which."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Global
from elearning.models.course import Course
from elearning.models.types import same_home

__all__ = ["CoursePrerequisite"]


class CoursePrerequisite(Global):
    """A course that is completed before another one is taken."""

    __tablename__ = "course_prerequisites"
    __owner__ = "course"

    course_id: Mapped[UUID] = mapped_column(ForeignKey(Course.id, ondelete="RESTRICT"))
    prerequisite_id: Mapped[UUID] = mapped_column(
        ForeignKey(Course.id, ondelete="RESTRICT"),
        comment="a course of any region; it is completed first",
    )

    course: Mapped[Course] = relationship(lazy="raise", foreign_keys=[course_id])
    prerequisite: Mapped[Course] = relationship(lazy="raise", foreign_keys=[prerequisite_id])

    __table_args__ = (
        same_home("course_id"),
        CheckConstraint("prerequisite_id <> course_id", name="prerequisite_id"),
        UniqueConstraint("course_id", "prerequisite_id"),
        Index("idx_course_prerequisites_prerequisite_id", "prerequisite_id", "course_id"),
        {
            "comment": "Which courses are completed before a course is taken",
            "info": {"fixed": ("course_id", "prerequisite_id")},
        },
    )
