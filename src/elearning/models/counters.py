"""Rows that triggers change behind the session's back.

A trigger that changes a loaded row changes its xmin too: the next flush of that
row would be refused as stale. So such rows are expired, and read again.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from elearning.models.base import Record
from elearning.models.course_lesson import CourseLesson
from elearning.models.enrollment import Enrollment
from elearning.models.lesson_progress import LessonProgress

__all__ = ["expire_counted", "expire_counting"]


def expire_counting(session: Session, row: Record) -> None:
    """Expire the rows that a trigger changes along with this one, where the session holds them."""
    if isinstance(row, CourseLesson):
        # A lesson that joins or leaves a running course changes everybody's enrollment.
        for held in list(session.identity_map.values()):
            if isinstance(held, Enrollment | LessonProgress):
                session.expire(held)
    if row.__counted_in__ is not None:
        counted_id = inspect(row).dict.get(f"{row.__counted_in__}_id")
        model = inspect(type(row)).relationships[row.__counted_in__].mapper.class_
        expire_counted(session, model, counted_id)


def expire_counted(session: Session, model: type[Record], row_id: UUID | None) -> None:
    """Expire a row that a trigger has changed, where the session holds it.

    Args:
        session: that may hold it.
        model: its table.
        row_id: its id; None where that is not loaded: it may be any row of the table.
    """
    if not session.identity_map:
        return
    if row_id is None:
        for row in list(session.identity_map.values()):
            if isinstance(row, model):
                session.expire(row)
        return
    held = session.identity_map.get(session.identity_key(model, row_id))
    if held is not None:
        session.expire(held)
