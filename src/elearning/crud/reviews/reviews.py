"""Reviews: written by who is enrolled, answered by the instructor, hidden by moderators.

A review lives with its enrollment, so its id tells the shard. The trigger
update_course_rating counts it there in the same transaction.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from elearning.crud.accounts.user_changes import refuse_inactive, require_active
from elearning.errors import (
    AlreadyReviewed,
    EnrollmentNotFound,
    InvalidRating,
    NotTheInstructor,
    ReviewNotFound,
)
from elearning.ids import new_id, parse_id, region_of
from elearning.models import Course, CourseReview, Enrollment, User
from elearning.models.counters import expire_counted
from elearning.routing import Reader
from elearning.text import checked_text

__all__ = [
    "add_review",
    "answer_review",
    "checked_rating",
    "delete_review",
    "edit_review",
    "get_review",
    "hide_review",
    "show_review",
]

_MOST_TEXT = 5_000
_MOST_REASON = 1_000


def checked_rating(rating: int) -> int:
    """Return a rating.

    Raises:
        InvalidRating: it is no whole number from 1 to 5.
    """
    if type(rating) is not int or not 1 <= rating <= 5:  # noqa: PLR2004 - the stars
        raise InvalidRating(rating=str(rating)[:100])
    return rating


def add_review(session: Session, enrollment_id: UUID, rating: int, text: str = "") -> CourseReview:
    """Review the course of an enrollment, whatever has become of the enrollment.

    Args:
        session: a session.
        enrollment_id: whose; it has one review.
        rating: 1 (worst) to 5 (best).
        text: at most 5,000 characters.

    Raises:
        InvalidRating, InvalidText: the rating or the text is wrong.
        EnrollmentNotFound: there is no such enrollment.
        AccountNotActive: its user is inactive or suspended.
        AlreadyReviewed: it has a review.
    """
    rating = checked_rating(rating)
    text = checked_text("text", text, least=0, most=_MOST_TEXT)
    # Locked as the review's foreign key locks it, so that it is not deleted before.
    found = session.execute(
        select(Enrollment.course_id, User.id, User.status)
        .join(User, User.id == Enrollment.user_id)
        .where(Enrollment.id == enrollment_id)
        .with_for_update(read=True, key_share=True, of=Enrollment)
    ).one_or_none()
    if found is None:
        raise EnrollmentNotFound(enrollment_id=enrollment_id)
    refuse_inactive(found.id, found.status)
    review: CourseReview | None = session.scalar(
        insert(CourseReview)
        .values(
            id=new_id(region_of(found.id)),
            enrollment_id=enrollment_id,
            course_id=found.course_id,
            rating=rating,
            review_text=text,
        )
        .on_conflict_do_nothing(index_elements=[CourseReview.enrollment_id])
        .returning(CourseReview)
    )
    if review is None:
        review_id = session.scalar(
            select(CourseReview.id).where(CourseReview.enrollment_id == enrollment_id)
        )
        raise AlreadyReviewed(enrollment_id=enrollment_id, review_id=review_id)
    expire_counted(session, Course, found.course_id)
    return review


def edit_review(
    session: Session, review_id: UUID, *, rating: int | None = None, text: str | None = None
) -> CourseReview:
    """Change what a review says; None leaves it as it is, and a hidden one stays hidden.

    Raises:
        InvalidRating, InvalidText: see `add_review`.
        ReviewNotFound: there is no such review.
        AccountNotActive: who wrote it is inactive or suspended.
    """
    if rating is not None:
        rating = checked_rating(rating)
    if text is not None:
        text = checked_text("text", text, least=0, most=_MOST_TEXT)
    writer = (
        select(CourseReview, User.id, User.status)
        .join(Enrollment, Enrollment.id == CourseReview.enrollment_id)
        .join(User, User.id == Enrollment.user_id)
    )
    review: CourseReview
    review, user_id, status = _locked(session, review_id, writer)
    refuse_inactive(user_id, status)
    review.rating = review.rating if rating is None else rating
    review.review_text = review.review_text if text is None else text
    session.flush()
    return review


def delete_review(session: Session, review_id: UUID) -> None:
    """Delete a review with its answer and its reports.

    Raises:
        ReviewNotFound: there is no such review.
    """
    course_id = session.scalar(
        delete(CourseReview).where(CourseReview.id == review_id).returning(CourseReview.course_id)
    )
    if course_id is None:
        raise ReviewNotFound(review_id=review_id)
    expire_counted(session, Course, course_id)


def get_review(session: Reader, review_id: UUID) -> CourseReview:
    """Return a review, hidden or not.

    Raises:
        ReviewNotFound: there is none.
    """
    review = session.get(CourseReview, review_id)
    if review is None:
        raise ReviewNotFound(review_id=review_id)
    return review


def hide_review(session: Session, review_id: UUID, reason: str) -> CourseReview:
    """Take a review out of sight and out of the rating, as moderators do.

    Hiding it again replaces the reason.

    Raises:
        InvalidText: the reason is empty, or longer than 1,000 characters.
        ReviewNotFound: there is no such review.
    """
    reason = checked_text("reason", reason, most=_MOST_REASON)
    review: CourseReview = _locked(session, review_id, select(CourseReview))[0]
    if review.hidden_at is None:
        review.hidden_at = func.clock_timestamp()
    review.hidden_reason = reason
    session.flush()
    return review


def show_review(session: Session, review_id: UUID) -> CourseReview:
    """Bring a hidden review back; one that is shown stays so.

    Raises:
        ReviewNotFound: there is no such review.
    """
    review: CourseReview = _locked(session, review_id, select(CourseReview))[0]
    review.hidden_at = review.hidden_reason = None
    session.flush()
    return review


def answer_review(
    session: Session, review_id: UUID, instructor_id: UUID, text: str | None
) -> CourseReview:
    """Answer a review as the course's instructor, wherever that one lives.

    Args:
        session: a session.
        review_id: which review.
        instructor_id: who answers.
        text: at most 5,000 characters, in the place of the answer before; None takes it back.

    Raises:
        InvalidId, InvalidText: an id is none, or the text is empty or too long.
        UserNotFound, ReviewNotFound: there is no such row.
        AccountNotActive: the instructor is inactive or suspended.
        NotTheInstructor: the course's copy beside the review names somebody else.
    """
    if text is not None:
        text = checked_text("text", text, most=_MOST_TEXT)
    instructor_id = parse_id(instructor_id)
    require_active(session, instructor_id)
    taught = select(CourseReview, Course.instructor_id).join(
        Course, Course.id == CourseReview.course_id
    )
    review: CourseReview
    review, teacher = _locked(session, review_id, taught)
    if teacher != instructor_id:
        raise NotTheInstructor(
            user_id=instructor_id, course_id=review.course_id, review_id=review_id
        )
    review.answer = text
    review.answered_at = None if text is None else func.clock_timestamp()
    session.flush()
    return review


def _locked(session: Session, review_id: UUID, statement: Any) -> Row[*tuple[Any, ...]]:
    """Return a review as it is now, with what else the statement asks, and lock it alone."""
    found: Row[*tuple[Any, ...]] | None = session.execute(
        statement.where(CourseReview.id == review_id).with_for_update(
            of=CourseReview, key_share=True
        ),
        execution_options={"populate_existing": True},
    ).one_or_none()
    if found is None:
        raise ReviewNotFound(review_id=review_id)
    return found
