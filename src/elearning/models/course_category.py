"""The tree of subjects."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Global
from elearning.models.types import home_unique, not_blank

if TYPE_CHECKING:
    from elearning.models.course import Course

__all__ = ["CourseCategory"]


class CourseCategory(Global):
    """A subject; the root of the tree has no parent."""

    __tablename__ = "course_categories"
    __owner__ = "parent"

    parent_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("course_categories.id", ondelete="RESTRICT"),
        comment="NULL: a root of the tree",
    )
    category_name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(100), comment="the name as a part of a URL")
    description: Mapped[str] = mapped_column(Text, default="", server_default="")

    parent: Mapped[CourseCategory | None] = relationship(
        back_populates="children", remote_side="CourseCategory.id", lazy="raise"
    )
    children: Mapped[list[CourseCategory]] = relationship(
        back_populates="parent", lazy="raise", passive_deletes="all"
    )
    courses: Mapped[list[Course]] = relationship(
        back_populates="category", lazy="raise", passive_deletes="all"
    )

    __table_args__ = (
        CheckConstraint("parent_id <> id", name="parent"),
        not_blank("category_name"),
        not_blank("slug"),
        home_unique("uq_course_categories_slug", "slug"),
        home_unique("uq_course_categories_category_name", "category_name"),
        Index(
            "idx_course_categories_parent_id",
            "parent_id",
            text('category_name COLLATE "C"'),
            "id",
        ),
        {"comment": "The tree of subjects"},
    )
