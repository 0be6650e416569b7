"""When a lesson is completed: viewed, watched for long enough, or scored well enough.

A video whose length nobody has noted cannot be measured: viewing it is enough.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, SQLColumnExpression, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from elearning.errors import InvalidAmount, LessonNotFound, LessonRuleNotMet
from elearning.models import CompletionRule, CourseLesson, LessonProgress

__all__ = ["MOST_SECONDS", "checked_seconds", "is_met", "is_met_when_viewed", "why_not"]

MOST_SECONDS = 2**31 - 1
"""What a column of seconds holds."""

_SECONDS = cast(func.coalesce(CourseLesson.duration_minutes, 0), BigInteger) * 60


def is_met(
    watched: SQLColumnExpression[Any], best_score: SQLColumnExpression[Any]
) -> ColumnElement[bool]:
    """Return the condition that a lesson completes by itself.

    Args:
        watched: the seconds that were watched.
        best_score: of the attempts, or NULL.
    """
    return or_(
        and_(
            CourseLesson.completion_rule == CompletionRule.WATCHED,
            _SECONDS > 0,
            _share_is_reached(watched),
        ),
        _score_is_reached(best_score),
    )


def is_met_when_viewed(
    watched: SQLColumnExpression[Any], best_score: SQLColumnExpression[Any]
) -> ColumnElement[bool]:
    """Return the condition that a lesson completes when the student says so; see `is_met`."""
    return or_(
        CourseLesson.completion_rule == CompletionRule.VIEWED,
        and_(
            CourseLesson.completion_rule == CompletionRule.WATCHED,
            # Of a video without a length, nothing is enough.
            _share_is_reached(watched),
        ),
        _score_is_reached(best_score),
    )


def _share_is_reached(watched: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    return cast(watched, BigInteger) * 100 >= _SECONDS * CourseLesson.completion_threshold


def _score_is_reached(best_score: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    return and_(
        CourseLesson.completion_rule == CompletionRule.SCORE,
        # Never NULL: the condition is stored, in lesson_progress.completed.
        func.coalesce(best_score, -1) >= CourseLesson.completion_threshold,
    )


def why_not(
    session: Session, enrollment_id: UUID, lesson_id: UUID
) -> LessonNotFound | LessonRuleNotMet:
    """Return why a lesson was not completed."""
    row = session.execute(
        select(
            CourseLesson.completion_rule,
            CourseLesson.completion_threshold,
            CourseLesson.duration_minutes,
            LessonProgress.watched,
            LessonProgress.best_score,
        )
        .join(CourseLesson, CourseLesson.id == LessonProgress.lesson_id)
        .where(LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson_id)
    ).one_or_none()
    if row is None:
        return LessonNotFound(enrollment_id=enrollment_id, lesson_id=lesson_id)
    if row.completion_rule is CompletionRule.WATCHED:
        value: object = f"{100 * row.watched // (60 * (row.duration_minutes or 1))}"
    else:
        value = "none" if row.best_score is None else row.best_score
    return LessonRuleNotMet(
        enrollment_id=enrollment_id,
        lesson_id=lesson_id,
        rule=row.completion_rule.value,
        threshold=row.completion_threshold,
        value=value,
    )


def checked_seconds(seconds: int) -> int:
    """Return a number of seconds.

    Raises:
        InvalidAmount: it is none, negative, or more than a column holds.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise InvalidAmount(amount=repr(seconds)[:80], problem="is no whole number of seconds")
    if not 0 <= seconds <= MOST_SECONDS:
        raise InvalidAmount(
            amount=f"{Decimal(seconds):.20g}", problem=f"is no time of 0 to {MOST_SECONDS} s"
        )
    return seconds
