"""Writes of the flows against the same SQL by the driver alone."""

from __future__ import annotations

from rich.table import Table

from benchmarks.courses import connect, make_course
from benchmarks.timing import compare
from elearning.crud import enroll_user
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound

ROUNDS = 200


def enrollments(engines: Engines) -> Table:
    """Enroll in a course of 20 lessons."""
    with RoutingSession(engines=engines, region="europe") as session:
        course_id, _ = make_course(session, 20)
        with bound(session):
            users = iter([user.id for user in UserFactory.create_batch(ROUNDS * 3)])
        session.commit()
    raw = connect(engines.primary("eu").engine.url)

    def by_psycopg() -> object:
        with raw.transaction():
            statement = "SELECT enroll_user(%s, %s)"
            return raw.execute(statement, [next(users), course_id]).fetchone()

    def by_session() -> object:
        with RoutingSession(engines=engines, region="europe") as session, session.begin():
            return enroll_user(session, next(users), course_id)

    try:
        return compare(
            "enroll in a course of 20 lessons",
            {"raw psycopg, enroll_user()": by_psycopg, "RoutingSession": by_session},
            ROUNDS,
        )
    finally:
        raw.close()
