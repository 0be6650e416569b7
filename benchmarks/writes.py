"""Writes of the flows against the same SQL by the driver alone."""

from __future__ import annotations

from itertools import cycle

from rich.table import Table

from benchmarks.courses import connect, make_course
from benchmarks.timing import measure, speeds
from elearning.crud import enroll_user
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound

ROUNDS = 30
WARM_UP = 2
REPEAT = 20  # in turns: what a COMMIT sets going on other servers falls to its own contender
BEFORE = 500  # people who are enrolled already
COURSES = 50  # so that no counter is changed more often than it can be tidied up

_RAW, _SESSION = "raw psycopg, enroll_user()", "RoutingSession"


def enrollments(engines: Engines) -> Table:
    """Enroll in courses of 20 lessons."""
    with RoutingSession(engines=engines, region="europe") as session:
        courses = cycle([make_course(session, 20)[0] for _ in range(COURSES)])
        number = BEFORE + (ROUNDS + WARM_UP) * REPEAT * 2
        with bound(session):
            users = iter([user.id for user in UserFactory.create_batch(number)])
        session.commit()
    raw = connect(engines.primary("eu").engine.url)

    def by_psycopg() -> object:
        with raw.transaction():
            statement = "SELECT enroll_user(%s, %s)"
            return raw.execute(statement, [next(users), next(courses)]).fetchone()

    def by_session() -> object:
        with RoutingSession(engines=engines, region="europe") as session, session.begin():
            return enroll_user(session, next(users), next(courses))

    for _ in range(BEFORE):
        by_psycopg()
    # Plans that a connection has made for empty tables would be kept for full ones.
    with connect(engines.settings.shard("eu").owner_url) as owner:
        owner.execute("ANALYZE")
    contenders = {_RAW: by_psycopg, _SESSION: by_session}
    try:
        times = measure(contenders, ROUNDS, warm_up=WARM_UP, repeat=REPEAT)
    finally:
        raw.close()
    return speeds(
        "enroll in a course of 20 lessons, with a COMMIT", times, {_RAW: ">= 0.85"}, of=_SESSION
    )
