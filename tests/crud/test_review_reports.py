from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from elearning.crud import (
    add_review,
    delete_review,
    list_open_reports,
    report_review,
    resolve_reports,
)
from elearning.errors import (
    AccountNotActive,
    InvalidId,
    InvalidText,
    OwnReview,
    ReviewNotFound,
    UserNotFound,
)
from elearning.ids import new_id, region_of
from elearning.models import CourseReview, ReportReason
from elearning.regions import Region
from elearning.routing import Engines
from elearning.testing.factories import ReviewReportFactory, bound
from tests.crud.reviewing import REGIONS, Classroom, analyze, make_classroom, plan_of, replayed
from tests.served import served


@pytest.fixture
def classroom(engines: Engines, empty_databases: None) -> Classroom:
    return make_classroom(engines)


@pytest.fixture
def review_id(classroom: Classroom) -> UUID:
    """A review in asia."""
    return written(classroom, "asia")


def written(classroom: Classroom, region: str) -> UUID:
    with classroom.session(region) as session:
        found = add_review(session, classroom.enrollments[region][0], 1, "Buy my pills").id
        session.commit()
    replayed(classroom.engines, classroom.token)
    return found


def stored(classroom: Classroom) -> list[Any]:
    return classroom.rows(
        "SELECT reporter_id, reason, report_text, resolved_at FROM review_reports"
    )


def test_report_a_review_of_another_region(classroom: Classroom, review_id: UUID) -> None:
    reporter = classroom.users["north_america"][0]
    with classroom.session("europe") as session, served(classroom.engines) as nodes:
        report = report_review(session, review_id, reporter, "spam", " Pills ")
        assert nodes == ["na-replica-1", "asia-primary", "asia-primary"]
        assert region_of(report.id) is Region.ASIA
        assert (report.reason, report.report_text) == (ReportReason.SPAM, "Pills")
        assert (report.reporter_id, report.resolved_at) == (reporter, None)
        # Again: the first one stays.
        again = report_review(session, review_id, reporter, ReportReason.ABUSE)
        assert again.id == report.id
        assert again.reason is ReportReason.SPAM
        session.commit()
    assert len(stored(classroom)) == 1


def test_refused_reports(classroom: Classroom, review_id: UUID) -> None:
    own, other = classroom.users["asia"][0], classroom.users["europe"][0]
    classroom.suspend(classroom.users["north_america"][0], "north_america")
    refused: list[tuple[Any, Any, Any, Any, Any]] = [
        (OwnReview, review_id, own, "spam", ""),
        (OwnReview, review_id, str(own), "spam", ""),
        (InvalidId, review_id, "x", "spam", ""),
        (InvalidId, {"$ne": 1}, other, "spam", ""),
        (UserNotFound, review_id, new_id("europe"), "spam", ""),
        (AccountNotActive, review_id, classroom.users["north_america"][0], "spam", ""),
        (ReviewNotFound, new_id("asia"), other, "spam", ""),
        (InvalidText, review_id, other, "dislike", ""),
        (InvalidText, review_id, other, None, ""),
        (InvalidText, review_id, other, "spam", "x" * 2_001),
        (InvalidText, review_id, other, "spam", "\x00"),
    ]
    for error, *arguments in refused:
        with classroom.session() as session:
            with pytest.raises(error):
                report_review(session, *arguments)
            session.commit()
    assert stored(classroom) == []


def test_resolve_reports(classroom: Classroom, review_id: UUID) -> None:
    with classroom.session() as session:
        held = report_review(session, review_id, classroom.users["europe"][0], "spam")
        report_review(session, review_id, classroom.users["north_america"][0], "abuse")
        with served(classroom.engines) as nodes:
            assert resolve_reports(session, review_id) == 2
        assert nodes == ["asia-primary"]
        assert held.resolved_at is not None
        assert resolve_reports(session, review_id) == 0
        with pytest.raises(ReviewNotFound):
            resolve_reports(session, new_id("asia"))
        # Reported again by the same one: it was looked at.
        again = report_review(session, review_id, classroom.users["europe"][0], "spam")
        assert again.resolved_at is not None
        session.commit()


def test_open_reports(classroom: Classroom) -> None:
    reporter = classroom.instructor_id
    reviews = {region: written(classroom, region) for region in REGIONS}
    for region in ("asia", "europe", "north_america"):
        with classroom.session() as session:
            report_review(session, reviews[region], reporter, "spam", region)
            session.commit()
    with classroom.session() as session:
        resolve_reports(session, reviews["europe"])
        session.commit()
    replayed(classroom.engines, classroom.token)
    with served(classroom.engines) as nodes:
        first = list_open_reports().everywhere(classroom.engines, size=1)
        second = list_open_reports().everywhere(classroom.engines, size=1, after=first.next)
    assert sorted(set(nodes)) == ["asia-replica-1", "eu-replica-1", "na-replica-1"]
    assert [page.items[0].report_text for page in (first, second)] == ["asia", "north_america"]
    assert second.next is None
    # With what was reported.
    assert first.items[0].review.review_text == "Buy my pills"
    with classroom.session("north_america") as session, served(classroom.engines) as nodes:
        (report,) = list_open_reports(reason="spam").page(session).items
        assert report.review.id == reviews["north_america"]
        assert list_open_reports(reason="abuse").page(session).items == []
    assert nodes == ["na-replica-1"] * 2
    with pytest.raises(InvalidText, match="reason"):
        list_open_reports(reason="dislike")


def test_reports_go_with_their_review(classroom: Classroom, review_id: UUID) -> None:
    with classroom.session() as session:
        report_review(session, review_id, classroom.instructor_id, "other")
        delete_review(session, review_id)
        session.commit()
    assert stored(classroom) == []


def test_open_reports_are_read_by_an_index(classroom: Classroom, review_id: UUID) -> None:
    with classroom.session("asia") as session, bound(session):
        session.execute(
            text(
                "INSERT INTO review_reports (id, review_id, reporter_id, reason, resolved_at) "
                "SELECT new_id(5), :review, new_id(3), 'spam', CASE WHEN n > 300 THEN now() END "
                "FROM generate_series(1, 3000) AS n"
            ),
            {"review": review_id},
        )
        ReviewReportFactory.create(review=session.get_one(CourseReview, review_id))
        session.commit()
        analyze(classroom.engines, "asia", "review_reports")
        after = list_open_reports().page(session, size=200).next
        plan = plan_of(session, list_open_reports(), after)
        assert "idx_review_reports_created_at" in plan, plan
        assert "Sort" not in plan, plan
