"""What the catalogue is searched and sorted by; each shard keeps it for itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, Numeric, String
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from elearning.models.base import Base

__all__ = ["CoursePopularity", "CourseSearch"]


class CourseSearch(Base):
    """The words of a published course, in its own language."""

    __tablename__ = "course_search"

    course_id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="a course; no key, for copies come in any order"
    )
    title: Mapped[Any] = mapped_column(
        TSVECTOR, comment="stems of the title, its words, and the rules of its language"
    )
    document: Mapped[Any] = mapped_column(
        TSVECTOR, comment="the same (A), and stems of the description (B)"
    )
    misspelt: Mapped[Any] = mapped_column(
        TSVECTOR, comment="the words of the title, whole and each with one letter left out"
    )
    category_id: Mapped[UUID | None] = mapped_column(comment="as in courses")
    level: Mapped[str] = mapped_column(String(32), comment="as in courses")
    language: Mapped[str] = mapped_column(String(35), comment="as in courses")
    price_minor: Mapped[int] = mapped_column("price", BigInteger, comment="as in courses")
    currency: Mapped[str] = mapped_column(String(3), comment="as in courses")
    rating: Mapped[Decimal | None] = mapped_column(Numeric(3, 2), comment="as in courses")

    __table_args__ = (
        Index("idx_course_search_title", "title", postgresql_using="gin"),
        Index("idx_course_search_document", "document", postgresql_using="gin"),
        Index("idx_course_search_misspelt", "misspelt", postgresql_using="gin"),
        Index("idx_course_search_language", "language"),
        {"comment": "What published courses are found by; kept by the trigger keep_course_search"},
    )


class CoursePopularity(Base):
    """How many people take a course, worldwide: the sum of its counters, to sort by."""

    __tablename__ = "course_popularity"

    course_id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="a course; no key, for copies come in any order"
    )
    enrollments: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="those that are active or completed"
    )
    completions: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="those that are completed"
    )

    __table_args__ = (
        CheckConstraint("enrollments >= 0", name="enrollments"),
        CheckConstraint("completions >= 0", name="completions"),
        Index("idx_course_popularity_enrollments", "enrollments", "course_id"),
        {"comment": "How popular courses are worldwide; kept by the triggers sum_course_ratings"},
    )
