"""Reports of reviews: made by anybody, looked at by moderators."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from elearning.crud.accounts.user_changes import require_active
from elearning.crud.listing import Listing
from elearning.crud.reviews.reviews import get_review
from elearning.errors import OwnReview, ReviewNotFound
from elearning.ids import new_id, parse_id, region_of
from elearning.models import CourseReview, Enrollment, ReportReason, ReviewReport
from elearning.models.counters import expire_counted
from elearning.text import checked_choice, checked_text

__all__ = ["list_open_reports", "report_review", "resolve_reports"]

_MOST_TEXT = 2_000


def report_review(
    session: Session,
    review_id: UUID,
    reporter_id: UUID,
    reason: ReportReason | str,
    text: str = "",
) -> ReviewReport:
    """Report a review, which stays as it is; the report is stored beside it.

    Who reports it again changes nothing, and gets the first report back.

    Args:
        session: a session.
        review_id: which review.
        reporter_id: who reports it, of any region.
        reason: what is wrong with it.
        text: at most 2,000 characters.

    Raises:
        InvalidId: not an id.
        InvalidText: there is no such reason, or the text is too long.
        UserNotFound, ReviewNotFound: there is no such row.
        AccountNotActive: the reporter is inactive or suspended.
        OwnReview: the reporter wrote it.
    """
    reason = checked_choice("reason", reason, ReportReason)
    text = checked_text("text", text, least=0, most=_MOST_TEXT)
    # Compared below with what is stored: a text is never equal to an id.
    reporter_id = parse_id(reporter_id)
    require_active(session, reporter_id)
    # Locked as the report's foreign key locks it, so that it is not deleted before.
    author = session.scalar(
        select(Enrollment.user_id)
        .join_from(CourseReview, Enrollment, Enrollment.id == CourseReview.enrollment_id)
        .where(CourseReview.id == review_id)
        .with_for_update(read=True, key_share=True, of=CourseReview)
    )
    if author is None:
        raise ReviewNotFound(review_id=review_id)
    if author == reporter_id:
        raise OwnReview(review_id=review_id, user_id=reporter_id)
    report: ReviewReport | None = session.scalar(
        insert(ReviewReport)
        .values(
            id=new_id(region_of(author)),
            review_id=review_id,
            reporter_id=reporter_id,
            reason=reason,
            report_text=text,
        )
        .on_conflict_do_nothing(index_elements=[ReviewReport.review_id, ReviewReport.reporter_id])
        .returning(ReviewReport)
    )
    if report is not None:
        return report
    return session.scalars(
        select(ReviewReport).where(
            ReviewReport.review_id == review_id, ReviewReport.reporter_id == reporter_id
        )
    ).one()


def resolve_reports(session: Session, review_id: UUID) -> int:
    """Note that somebody has looked at the open reports of a review; return how many.

    Raises:
        ReviewNotFound: there is no such review.
    """
    resolved = session.scalars(
        update(ReviewReport)
        .where(ReviewReport.review_id == review_id, ReviewReport.resolved_at.is_(None))
        .values(resolved_at=func.clock_timestamp())
        .returning(ReviewReport.id)
        .execution_options(synchronize_session=False)
    ).all()
    if not resolved:
        get_review(session, review_id)
    for report_id in resolved:
        expire_counted(session, ReviewReport, report_id)
    return len(resolved)


def list_open_reports(*, reason: ReportReason | str | None = None) -> Listing[ReviewReport]:
    """List the reports that nobody has looked at, with their reviews, the oldest first.

    A page of a session holds those of reviews on its region's shard; one of ``everywhere`` all.

    Args:
        reason: only those with it.

    Raises:
        InvalidText: there is no such reason.
    """
    statement = (
        select(ReviewReport)
        .where(ReviewReport.resolved_at.is_(None))
        .order_by(ReviewReport.created_at, ReviewReport.id)
        .options(joinedload(ReviewReport.review, innerjoin=True))
    )
    if reason is not None:
        statement = statement.where(
            ReviewReport.reason == checked_choice("reason", reason, ReportReason)
        )
    return Listing(statement)
