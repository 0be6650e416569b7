"""How many people take a course, and what they think of it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from elearning.models.base import Base
from elearning.models.course import Course

__all__ = ["CourseStatistics"]


class CourseStatistics(Base):
    """What the people of one region do in a course; counted at home, copied everywhere.

    The sum over all regions is the whole world's, on every shard.
    """

    __tablename__ = "course_statistics"

    course_id: Mapped[UUID] = mapped_column(
        ForeignKey(Course.id, ondelete="RESTRICT"), primary_key=True
    )
    region_code: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, autoincrement=False, comment="of the people, 1 to 6"
    )
    enrollments: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="those that are active or completed"
    )
    completions: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="those that are completed"
    )
    rating_sum: Mapped[int] = mapped_column(
        BigInteger, server_default="0", comment="of all reviews together"
    )
    total_ratings: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="how many reviews there are"
    )

    __table_args__ = (
        CheckConstraint("region_code BETWEEN 1 AND 6", name="region_code"),
        CheckConstraint("enrollments >= 0", name="enrollments"),
        CheckConstraint("completions BETWEEN 0 AND enrollments", name="completions"),
        CheckConstraint("rating_sum BETWEEN total_ratings AND 5 * total_ratings", name="rating"),
        {
            "comment": "Counters of a course for the people of each region; copied like courses",
            "info": {"home": "region_code"},
        },
    )
