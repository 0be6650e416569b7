"""How often each rating was given to a course."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from elearning.models.base import Base
from elearning.models.course import Course

__all__ = ["CourseRating"]


class CourseRating(Base):
    """How often the people of one region gave a rating; counted at home, copied everywhere.

    The sum over all regions is the whole world's, on every shard.
    """

    __tablename__ = "course_ratings"

    course_id: Mapped[UUID] = mapped_column(
        ForeignKey(Course.id, ondelete="RESTRICT"), primary_key=True
    )
    region_code: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, autoincrement=False, comment="of the people, 1 to 6"
    )
    rating: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, autoincrement=False, comment="1 (worst) to 5 (best)"
    )
    number: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="how many reviews have it; hidden ones do not count"
    )

    __table_args__ = (
        CheckConstraint("region_code BETWEEN 1 AND 6", name="region_code"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        CheckConstraint("number >= 0", name="number"),
        {
            "comment": "How often each rating was given, in each region; copied like courses",
            "info": {"home": "region_code"},
        },
    )
