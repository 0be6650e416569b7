"""Random operations on reviews leave the counters that plain SQL finds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from elearning.crud import (
    add_review,
    answer_review,
    delete_review,
    edit_review,
    figures_of,
    hide_review,
    ratings_of,
    show_review,
)
from elearning.errors import ElearningError
from elearning.models import Course, CourseReview
from elearning.routing import Engines, RoutingSession
from tests.crud.reviewing import Classroom, make_classroom

pytestmark = pytest.mark.unmeasured

PEOPLE = 3
Step = tuple[str, int, int]

STEPS = st.tuples(
    st.sampled_from(("add", "edit", "hide", "show", "delete", "answer", "bulk", "leave")),
    st.integers(0, 2 * PEOPLE - 1),
    st.integers(1, 5),
)


@pytest.fixture(scope="module", params=("europe", "asia"))
def here(request: pytest.FixtureRequest) -> str:
    """The region of those who write: the course's home, or a shard that has its copy."""
    region: str = request.param
    return region


NEIGHBOURS = {"europe": "africa", "asia": "oceania"}
"""Another region of the same shard."""


@pytest.fixture
def classroom(engines: Engines, empty_databases: None, here: str) -> Classroom:
    return make_classroom(engines, size=PEOPLE, regions=(here, NEIGHBOURS[here]))


def take(session: RoutingSession, classroom: Classroom, enrollment_id: UUID, step: Step) -> None:
    name, _, rating = step
    review_id = session.scalar(
        text("SELECT id FROM course_reviews WHERE enrollment_id = :id"), {"id": enrollment_id}
    )
    if name == "add":
        add_review(session, enrollment_id, rating)
    elif name == "bulk":
        session.execute(
            text("UPDATE course_reviews SET rating = 6 - rating WHERE rating <> :rating"),
            {"rating": rating},
        )
    elif name == "leave":
        session.execute(text("DELETE FROM enrollments WHERE id = :id"), {"id": enrollment_id})
    elif review_id is not None:
        operations: dict[str, Callable[[], object]] = {
            "edit": lambda: edit_review(session, review_id, rating=rating, text=name),
            "hide": lambda: hide_review(session, review_id, "Spam"),
            "show": lambda: show_review(session, review_id),
            "delete": lambda: delete_review(session, review_id),
            "answer": lambda: answer_review(session, review_id, classroom.instructor_id, "Thanks"),
        }
        operations[name]()


def wrong(session: RoutingSession, course_id: UUID) -> list[str]:
    """Return the counters that differ from what plain SQL counts."""
    plain: dict[int, int] = dict(
        session.execute(
            text(
                "SELECT region_code_of(id) * 10 + rating, count(*) FROM course_reviews "
                "WHERE hidden_at IS NULL GROUP BY 1"
            )
        ).all()
    )
    kept: dict[int, int] = dict(
        session.execute(
            text("SELECT region_code * 10 + rating, number FROM course_ratings WHERE number <> 0")
        ).all()
    )
    numbers = [key % 10 for key, number in plain.items() for _ in range(number)]
    sums = session.execute(
        text("SELECT sum(rating_sum), sum(total_ratings) FROM course_statistics")
    ).one()
    platform: dict[str, int] = dict(
        session.execute(
            text(
                "SELECT detail, sum(change) FROM platform_counters "
                "WHERE name = 'reviews' GROUP BY detail"
            )
        ).all()
    )
    world = ratings_of(session, course_id)
    row = session.execute(text("SELECT rating_sum, total_ratings FROM courses")).one()
    expected = (sum(numbers), len(numbers))
    found = {
        "ratings": (kept, plain),
        "statistics": (tuple(sums), expected),
        "course": (tuple(row), expected),
        "platform": (
            (platform.get("rating_sum", 0), platform.get("number", 0)),
            expected,
        ),
        "world": (world.total, len(numbers)),
    }
    return [f"{name}: {one} is not {other}" for name, (one, other) in found.items() if one != other]


@given(st.lists(STEPS, min_size=5, max_size=25))
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_ratings_after_any_operations(classroom: Classroom, here: str, steps: list[Step]) -> None:
    # All in one transaction, which is taken back: the session holds what it has loaded.
    with classroom.session(here) as session:
        enrollments = [each for some in classroom.enrollments.values() for each in some]
        session.execute(text("SELECT FROM course_reviews FOR UPDATE"))  # on the primary
        course = session.get_one(Course, classroom.course_id)
        for step in steps:
            with suppress(ElearningError), session.begin_nested():
                take(session, classroom, enrollments[step[1]], step)
            if step[0] in {"bulk", "leave"}:
                session.expire_all()
            assert wrong(session, classroom.course_id) == [], step
            if here == "europe":
                # The loaded object, which operations have to expire; elsewhere it is read again
                # at the course's home, until the transaction ends.
                figures = figures_of(session, classroom.course_id)
                assert (course.rating, course.total_ratings) == (
                    figures.rating,
                    figures.total_ratings,
                )
        reviews = session.query(CourseReview).count()
        assert 0 <= reviews <= len(enrollments)
        session.rollback()
