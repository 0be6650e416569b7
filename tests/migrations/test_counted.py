"""What 0009 counts and indexes of the rows that are there is what its triggers would have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text, update

from elearning.cluster.migrations import migrate
from elearning.config import Settings
from elearning.crud import (
    complete_refund,
    complete_transaction,
    create_refund,
    enroll_user,
    mark_lesson_complete,
)
from elearning.models import CourseReview, CourseStatus, Enrollment, User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseLessonFactory,
    CourseReviewFactory,
    InstructorFactory,
    TransactionFactory,
    UserFactory,
    bound,
)
from tests.migrations.support import alembic, rows

pytestmark = pytest.mark.unmeasured

REGIONS = (Region.EUROPE, Region.AFRICA)  # both on the shard na of these databases
COUNTED = {
    "course_search": "SELECT to_jsonb(course_search)::text FROM course_search",
    "course_popularity": "TABLE course_popularity",
    "course_statistics": "TABLE course_statistics",
    "course_ratings": "SELECT * FROM course_ratings WHERE number <> 0",
    "courses": "SELECT id, rating_sum, total_ratings FROM courses",
    # A month or a counter without anything in it says what none says.
    "course_months": "SELECT * FROM course_months WHERE enrolled <> 0",
    "course_revenue": "TABLE course_revenue",
    "platform_counters": "SELECT name, detail, region_code, month, currency, sum(change) "
    "FROM platform_counters GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0",
}


def counted(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    owner = settings.shards[0].owner_url
    return {name: sorted(rows(owner, statement), key=str) for name, statement in COUNTED.items()}


def fill(settings: Settings) -> None:
    """Write rows of every kind that something counts, in two regions."""
    with (
        Engines(settings) as engines,
        RoutingSession(engines=engines, region=REGIONS[0], consistency="primary") as session,
        bound(session),
    ):
        CourseFactory.create(status=CourseStatus.DRAFT, published_at=None)
        teacher = InstructorFactory.create()
        for language in ("en", "de-DE", "tlh"):
            course = CourseFactory.create(
                instructor=teacher, language=language, description="Many boats, and häuser"
            )
            lessons = CourseLessonFactory.create_batch(2, module__course=course)
            for region in REGIONS:
                people = UserFactory.create_batch(5, region=region)
                taken = [enroll_user(session, user.id, course.id) for user in people]
                mark_lesson_complete(session, taken[0], lessons[0].id)
                for lesson in lessons:
                    mark_lesson_complete(session, taken[1], lesson.id)
                earlier = {"enrollment_date": datetime(2024, 1, 31, 23, 59, tzinfo=UTC)}
                session.execute(
                    update(Enrollment).where(Enrollment.id.in_(taken[1:3])).values(earlier)
                )
                for ended, status in zip(taken[3:], ("dropped", "expired"), strict=True):
                    session.execute(
                        update(Enrollment).where(Enrollment.id == ended).values(status=status)
                    )
                for number in (1, 2, 3):
                    CourseReviewFactory.create(
                        enrollment=session.get_one(Enrollment, taken[number]),
                        course=course,
                        rating=number + 2,
                    )
                payments = [
                    TransactionFactory.create(user=user, course=course) for user in people[:3]
                ]
                for number, payment in enumerate(payments[:2]):
                    complete_transaction(session, payment.id, f"{payment.id} {number}")
                refund = create_refund(session, payments[0].id)
                complete_refund(session, refund.id, f"{refund.id}")
        session.execute(update(User).where(User.id == teacher.id).values(status="inactive"))
        session.commit()


def hide(settings: Settings) -> None:
    """Hide all reviews of five stars."""
    with (
        Engines(settings) as engines,
        RoutingSession(engines=engines, region=REGIONS[0], consistency="primary") as session,
    ):
        session.execute(
            update(CourseReview)
            .where(CourseReview.rating == 5)
            .values(hidden_at=text("now()"), hidden_reason="advertising")
        )
        session.commit()


@pytest.mark.parametrize(("target", "hidden"), [("0007", False), ("0008", True)])
def test_what_is_there_is_counted(filled: Settings, target: str, *, hidden: bool) -> None:
    fill(filled)
    if hidden:
        hide(filled)
    before = counted(filled)
    assert all(before.values()), before
    assert alembic(filled, "-x", "shard=na", "downgrade", target).code == 0
    assert [each.error for each in migrate(filled)] == [None, None]
    after = counted(filled)
    for name, found in before.items():
        assert after[name] == found, name


def test_hidden_reviews_count_again_after_a_downgrade(filled: Settings) -> None:
    fill(filled)
    owner = filled.shards[0].owner_url
    ratings = "SELECT rating_sum, total_ratings FROM courses WHERE total_ratings > 0"
    assert rows(owner, ratings) == [(24, 6)] * 3
    hide(filled)
    assert rows(owner, ratings) == [(14, 4)] * 3
    assert alembic(filled, "-x", "shard=na", "downgrade", "0007").code == 0
    assert rows(owner, ratings) == [(24, 6)] * 3
    # What the older release counts is right: one of them goes.
    rows(owner, "DELETE FROM course_reviews WHERE rating = 5 RETURNING id")
    assert rows(owner, ratings) == [(14, 4)] * 3
    assert [each.error for each in migrate(filled)] == [None, None]
    assert rows(owner, ratings) == [(14, 4)] * 3
