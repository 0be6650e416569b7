"""Whatever happens to a course, its seats, its line and its counters are what can be counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from elearning.errors import Conflict
from elearning.ids import new_id
from elearning.routing import Engines, RoutingSession
from tests.models.seats import Seats, make_seats, wrong

pytestmark = pytest.mark.unmeasured

PEOPLE = 4
Step = tuple[str, int, int]

STEPS = st.tuples(
    st.sampled_from(
        [
            "enroll",
            "enroll",
            "drop",
            "complete",
            "go on",
            "delete",
            "review",
            "rate",
            "join",
            "leave",
            "limit",
            "claim",
            "release",
            "confirm",
        ]
    ),
    st.integers(0, PEOPLE - 1),
    st.integers(1, 5),
)
CHANGES = {
    "drop": "UPDATE enrollments SET status = 'dropped' WHERE user_id = :user",
    "complete": "UPDATE enrollments SET status = 'completed', completion_date = '2300-01-01' "
    "WHERE user_id = :user",
    "go on": "UPDATE enrollments SET status = 'active', completion_date = NULL "
    "WHERE user_id = :user",
    "delete": "DELETE FROM enrollments WHERE user_id = :user",
    "review": "INSERT INTO course_reviews (id, enrollment_id, course_id, rating) "
    "SELECT new_id(region_code_of(id)), id, course_id, :number FROM enrollments "
    "WHERE user_id = :user ON CONFLICT DO NOTHING",
    "rate": "UPDATE course_reviews SET rating = :number",
}


@pytest.fixture(scope="module")
def nobody(clean: Callable[[], None]) -> None:
    clean()


@pytest.fixture
def session(engines: Engines, nobody: None) -> Iterator[RoutingSession]:
    with RoutingSession(engines=engines, region="europe") as opened:
        yield opened


def take(seats: Seats, people: list[UUID], strangers: list[UUID], step: Step) -> None:
    name, person, number = step
    match name:
        case "enroll":
            seats.enroll(people[person])
        case "limit":
            seats.limit(None if number == 5 else number)
        case "join" | "leave":
            seats.call(f"{name}_waitlist", seats.course_id, people[person])
        case "claim":
            # A user of another shard, which never answers.
            claim_id, _ = seats.claim(new_id("asia"))
            strangers.append(claim_id)
        case "release" | "confirm" if strangers:
            seats.call(f"{name}_claim", strangers[number % len(strangers)])
        case _ if name in CHANGES:
            seats.session.execute(
                text(CHANGES[name]).bindparams(
                    **{
                        key: value
                        for key, value in {"user": people[person], "number": number}.items()
                        if f":{key}" in CHANGES[name]
                    }
                )
            )


def waits_in_vain(session: RoutingSession) -> list[Any]:
    """Return who waits for a course that has free seats."""
    return [
        *session.execute(
            text(
                "SELECT w.user_id FROM waitlist AS w JOIN courses AS c ON c.id = w.course_id "
                "JOIN course_seats AS s ON s.course_id = c.id WHERE w.status = 'waiting' "
                "AND (c.max_enrollments IS NULL OR s.taken < c.max_enrollments)"
            )
        )
    ]


@given(st.lists(STEPS, min_size=5, max_size=40))
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_update_course_statistics_in_any_order(session: RoutingSession, steps: list[Step]) -> None:
    session.rollback()  # what the example before has done
    seats = make_seats(session, 2)
    people = [seats.somebody(region) for region in ("europe", "africa") for _ in range(PEOPLE // 2)]
    strangers: list[UUID] = []
    for step in steps:
        with suppress(Conflict), session.begin_nested():
            take(seats, people, strangers, step)
        assert wrong(session) == [], step
        assert waits_in_vain(session) == [], step
