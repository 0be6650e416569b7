"""Who takes which course."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    FetchedValue,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.course import Course
from elearning.models.states import States
from elearning.models.types import enum_type, same_home
from elearning.models.user import User

if TYPE_CHECKING:
    from elearning.models.course_review import CourseReview
    from elearning.models.lesson_progress import LessonProgress

__all__ = ["Enrollment", "EnrollmentStatus"]


class EnrollmentStatus(StrEnum):
    """Active and completed enrollments hold a seat."""

    ACTIVE = "active"
    COMPLETED = "completed"
    DROPPED = "dropped"
    EXPIRED = "expired"


STATES = States(
    {
        EnrollmentStatus.ACTIVE: (
            EnrollmentStatus.COMPLETED,
            EnrollmentStatus.DROPPED,
            EnrollmentStatus.EXPIRED,
        ),
        # A lesson is un-completed.
        EnrollmentStatus.COMPLETED: (EnrollmentStatus.ACTIVE,),
        # Taken up again, with the progress that was made.
        EnrollmentStatus.DROPPED: (EnrollmentStatus.ACTIVE,),
        EnrollmentStatus.EXPIRED: (EnrollmentStatus.ACTIVE,),
    }
)


class Enrollment(Regional):
    """A user's place in a course; lives with the user."""

    __tablename__ = "enrollments"
    __owner__ = "user"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    course_id: Mapped[UUID] = mapped_column(ForeignKey(Course.id, ondelete="RESTRICT"))
    status: Mapped[EnrollmentStatus] = mapped_column(
        enum_type(EnrollmentStatus), default=EnrollmentStatus.ACTIVE, server_default="active"
    )
    enrollment_date: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="when the place was taken, or taken up again"
    )
    completion_date: Mapped[datetime | None]
    total_lessons: Mapped[int] = mapped_column(
        Integer,
        server_default="0",
        comment="kept, with completed_lessons, by the triggers update_enrollment_progress",
    )
    completed_lessons: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="of those that total_lessons counts"
    )
    progress_percentage: Mapped[Decimal] = mapped_column(
        Numeric(5, 2),
        # Below 100 until the last lesson, however many lessons there are.
        Computed(
            "CASE WHEN total_lessons = 0 THEN 0 WHEN completed_lessons = total_lessons THEN 100 "
            "ELSE LEAST(round(100.0 * completed_lessons / total_lessons, 2), 99.99) END",
            persisted=True,
        ),
        comment="0 to 100, of the lessons that are not archived",
    )
    expires_at: Mapped[datetime | None] = mapped_column(
        comment="from then on the enrollment is over; NULL: it does not end by itself"
    )
    claim_id: Mapped[UUID | None] = mapped_column(
        unique=True,
        # Routines write it, and an application may not, not even NULL.
        server_default=FetchedValue(),
        server_onupdate=FetchedValue(),
        comment="its seat, a row of claims at the course's home; NULL: the course has no limit",
    )
    certificate_issued: Mapped[bool] = mapped_column(default=False, server_default=false())
    certificate_url: Mapped[str | None] = mapped_column(Text)
    last_accessed: Mapped[datetime | None] = mapped_column(comment="when progress was last made")

    user: Mapped[User] = relationship(back_populates="enrollments", lazy="raise")
    course: Mapped[Course] = relationship(back_populates="enrollments", lazy="raise")
    lesson_progress: Mapped[list[LessonProgress]] = relationship(
        back_populates="enrollment", lazy="raise", passive_deletes="all"
    )
    review: Mapped[CourseReview | None] = relationship(
        back_populates="enrollment",
        lazy="raise",
        passive_deletes="all",
        primaryjoin="CourseReview.enrollment_id == Enrollment.id",
        foreign_keys="CourseReview.enrollment_id",
    )

    __table_args__ = (
        same_home("user_id"),
        CheckConstraint("progress_percentage BETWEEN 0 AND 100", name="progress_percentage"),
        CheckConstraint("completion_date >= enrollment_date", name="completion_date"),
        CheckConstraint("completed_lessons BETWEEN 0 AND total_lessons", name="completed_lessons"),
        CheckConstraint("status <> 'completed' OR completion_date IS NOT NULL", name="completion"),
        UniqueConstraint("user_id", "course_id"),
        Index("idx_enrollments_course_id", "course_id", "status"),
        Index("idx_enrollments_course_date", "course_id", "enrollment_date", "id"),
        Index("idx_enrollments_enrollment_date", "enrollment_date", "id"),
        Index(
            "idx_enrollments_expires_at", "expires_at", postgresql_where=text("status = 'active'")
        ),
        # The people of an instructor's courses are counted without their rows.
        Index(
            "idx_enrollments_active_students",
            "course_id",
            "user_id",
            postgresql_where=text("status = 'active'"),
        ),
        # What course_reviews refers to: a review is of its enrollment's course.
        Index("uq_enrollments_id_course_id", "id", "course_id", unique=True),
        {
            "comment": "Who takes which course, on the user's home shard",
            "info": {"fixed": ("user_id", "course_id"), "states": STATES},
        },
    )
