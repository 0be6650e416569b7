"""Attempts at quizzes and assignments; they are added, and never changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Uuid,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from elearning.crud.learning.completion_rules import is_met
from elearning.crud.learning.progress import touch_enrollment
from elearning.crud.listing import Listing
from elearning.errors import InvalidScore, InvalidText, LessonNotFound, LessonNotScored
from elearning.ids import new_id, region_of
from elearning.models import (
    CompletionRule,
    CourseLesson,
    Enrollment,
    LessonProgress,
    LessonType,
    QuizAttempt,
)
from elearning.models.counters import expire_counted

__all__ = ["Attempt", "SubmittedAttempt", "list_attempts", "submit_attempt"]

_SCORED = (LessonType.QUIZ, LessonType.ASSIGNMENT)
_MOST_ANSWERS = 100_000  # characters of JSON
_DEEPEST = 200  # far from where the server's stack ends
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # after no other backslash, or pairs of them
_DECIMALS = 2
_ALL = 100


@dataclass(frozen=True, slots=True)
class SubmittedAttempt:
    """What became of an attempt.

    Attributes:
        number: of the student's attempts at the lesson, from 1.
        best_score: of them all, this one among them.
        passed: whether this one reaches what the lesson asks for; None: it asks for no score.
        completed: whether the lesson is completed, now or before.
    """

    attempt_id: UUID
    number: int
    score: Decimal
    best_score: Decimal
    passed: bool | None
    completed: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt without its answers, which may be long; the row `QuizAttempt` has them."""

    attempt_id: UUID
    number: int
    score: Decimal
    submitted_at: datetime


_BEST = func.greatest(LessonProgress.best_score, bindparam("score", type_=Numeric(5, 2)))
_COMPLETED: ColumnElement[bool] = or_(
    LessonProgress.completed, is_met(LessonProgress.watched, _BEST)
)
_SCORE = (
    update(LessonProgress)
    .where(
        LessonProgress.enrollment_id == bindparam("enrollment", type_=Uuid),
        LessonProgress.lesson_id == bindparam("lesson", type_=Uuid),
        CourseLesson.id == LessonProgress.lesson_id,
        CourseLesson.lesson_type.in_(_SCORED),
    )
    .values(
        best_score=_BEST,
        last_accessed=func.clock_timestamp(),
        completed=_COMPLETED,
        completion_date=case(
            (_COMPLETED, func.coalesce(LessonProgress.completion_date, func.clock_timestamp()))
        ),
    )
    .returning(
        LessonProgress.id,
        LessonProgress.best_score,
        LessonProgress.completed,
        CourseLesson.completion_rule,
        CourseLesson.completion_threshold,
    )
    .execution_options(synchronize_session=False)
)


def submit_attempt(
    session: Session,
    enrollment_id: UUID,
    lesson_id: UUID,
    score: Decimal | int | str,
    *,
    answers: Any = None,
) -> SubmittedAttempt:
    """Add an attempt, and complete the lesson when its rule is met.

    Attempts of one enrollment come one after the other, so their numbers have no gaps.

    Args:
        session: a session of the enrollment's region.
        enrollment_id: the enrollment.
        lesson_id: a quiz or an assignment of its course.
        score: 0 to 100, with at most two decimals.
        answers: what was answered: anything that is JSON, in at most 100,000 characters.

    Raises:
        InvalidScore, InvalidText: the score is none, or the answers are no JSON or too long.
        EnrollmentNotFound, LessonNotFound: no such row.
        EnrollmentNotActive: the enrollment was dropped or has expired.
        LessonNotScored: it is a video, or to be read.
    """
    checked = _checked_score(score)
    _check_answers(answers)
    # Whoever else submits one waits here, and counts this one then.
    touch_enrollment(session, enrollment_id)
    row = session.execute(
        _SCORE, {"enrollment": enrollment_id, "lesson": lesson_id, "score": checked}
    ).one_or_none()
    if row is None:
        raise _why_not(session, enrollment_id, lesson_id)
    expire_counted(session, LessonProgress, row.id)
    expire_counted(session, Enrollment, enrollment_id)
    before = select(func.coalesce(func.max(QuizAttempt.number), 0)).where(
        QuizAttempt.enrollment_id == enrollment_id, QuizAttempt.lesson_id == lesson_id
    )
    attempt = session.execute(
        insert(QuizAttempt)
        .values(
            id=new_id(region_of(enrollment_id)),
            enrollment_id=enrollment_id,
            lesson_id=lesson_id,
            number=before.scalar_subquery() + 1,
            score=checked,
            answers=answers,
        )
        .returning(QuizAttempt.id, QuizAttempt.number)
    ).one()
    by_score = row.completion_rule is CompletionRule.SCORE
    return SubmittedAttempt(
        attempt.id,
        attempt.number,
        checked,
        row.best_score,
        checked >= row.completion_threshold if by_score else None,
        row.completed,
    )


def list_attempts(enrollment_id: UUID, lesson_id: UUID) -> Listing[Attempt]:
    """List the attempts of an enrollment at a lesson, the newest first."""
    return Listing(
        select(QuizAttempt.id, QuizAttempt.number, QuizAttempt.score, QuizAttempt.submitted_at)
        .where(QuizAttempt.enrollment_id == enrollment_id, QuizAttempt.lesson_id == lesson_id)
        .order_by(QuizAttempt.number.desc()),
        lambda row: Attempt(*row),
    )


def _why_not(
    session: Session, enrollment_id: UUID, lesson_id: UUID
) -> LessonNotFound | LessonNotScored:
    lesson_type = session.scalar(
        select(CourseLesson.lesson_type)
        .join_from(LessonProgress, CourseLesson, CourseLesson.id == LessonProgress.lesson_id)
        .where(LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson_id)
    )
    if lesson_type is None:
        return LessonNotFound(enrollment_id=enrollment_id, lesson_id=lesson_id)
    return LessonNotScored(lesson_id=lesson_id, lesson_type=lesson_type.value)


def _checked_score(score: Decimal | int | str) -> Decimal:
    if isinstance(score, bool) or not isinstance(score, Decimal | int | str):
        raise InvalidScore(score=f"of type {type(score).__name__}", problem="is no Decimal")
    try:
        value = Decimal(score)
    except (InvalidOperation, ValueError):
        raise InvalidScore(score=repr(score)[:80], problem="is not a number") from None
    if not value.is_finite():
        raise InvalidScore(score=value, problem="is not finite")
    if not 0 <= value <= _ALL:
        raise InvalidScore(score=f"{value:.20g}", problem="is out of range")
    # Not by arithmetic, which rounds to 28 digits.
    if value != round(value, _DECIMALS):
        raise InvalidScore(score=f"{value:.20g}", problem="is too precise")
    return round(value, _DECIMALS)


def _check_answers(answers: Any) -> None:
    try:
        text = json.dumps(answers, allow_nan=False)
        # Half a surrogate pair cannot be stored, though JSON has a way to write it.
        json.dumps(answers, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"are no JSON: {str(error)[:200]}"
        raise InvalidText(field="answers", problem=problem) from None
    if len(text) > _MOST_ANSWERS:
        problem = f"have {len(text)} characters as JSON, expected at most {_MOST_ANSWERS}"
        raise InvalidText(field="answers", problem=problem)
    if _NUL.search(text):
        raise InvalidText(field="answers", problem="hold a NUL character")
    level, depth = [answers], 0
    while level := [child for each in level for child in _children(each)]:
        depth += 1
    if depth > _DEEPEST:
        raise InvalidText(field="answers", problem=f"are nested deeper than {_DEEPEST} times")


def _children(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list() | tuple():
            return value
    return ()
