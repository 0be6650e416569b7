"""Counters of statistics where several write at once: nothing is lost, nobody deadlocks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import Connection, text

from elearning.crud import complete_transaction, enroll_user, mark_lesson_complete
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import TransactionFactory, UserFactory, bound
from tests.models.counted import counters, differences
from tests.models.running import make_running
from tests.models.support import pid_of, scalar, stops_another, until

pytestmark = pytest.mark.unmeasured

THREADS = 4
EACH = 8
FOLD = text("SELECT fold_platform_counters()")


@pytest.fixture
def watch(engines: Engines) -> Iterator[Connection]:
    with engines.primary("eu").engine.connect() as connection:
        yield connection


def total(executor: Connection, name: str = "x") -> int:
    return int(
        scalar(
            executor,
            "SELECT coalesce(sum(change), 0) FROM platform_counters WHERE name = %(name)s",
            name=name,
        )
    )


def test_progress_of_one_and_the_enrollment_of_another(
    session: RoutingSession, engines: Engines, watch: Connection
) -> None:
    # Two lessons in one transaction: the first changes the month, the second the course.
    running = make_running(session, 2)
    mine = running.enroll()
    with bound(session):
        other = UserFactory.create().id
    session.commit()

    def enroll_other() -> None:
        with RoutingSession(engines=engines, region="europe") as own, own.begin():
            enroll_user(own, other, running.course_id)

    mark_lesson_complete(session, mine, running.lessons[0])
    pid = pid_of(session.connection())
    with ThreadPoolExecutor(1) as thread:
        enrolling = thread.submit(enroll_other)
        until(lambda: enrolling.done() or stops_another(watch, pid))
        mark_lesson_complete(session, mine, running.lessons[1])
        session.commit()
        enrolling.result()
    assert counters(session, "enrollments") == {"enrolled": 2, "started": 1, "completed": 1}
    assert differences(session) == []


def test_many_at_once_while_counters_are_added_up(
    session: RoutingSession, engines: Engines
) -> None:
    running = make_running(session, 2)
    with bound(session):
        people = [[UserFactory.create().id for _ in range(EACH)] for _ in range(THREADS)]
        payments = [
            [TransactionFactory.create(amount_minor=100).id for _ in range(EACH)]
            for _ in range(THREADS)
        ]
    session.commit()
    done = Event()

    def study(number: int) -> None:
        with RoutingSession(engines=engines, region="europe") as own:
            for user_id, payment_id in zip(people[number], payments[number], strict=True):
                enrollment = enroll_user(own, user_id, running.course_id)
                own.commit()
                for lesson_id in running.lessons:
                    mark_lesson_complete(own, enrollment, lesson_id)
                own.commit()
                complete_transaction(own, payment_id, str(payment_id))
                own.commit()
                own.execute(text("DELETE FROM users WHERE id = :id"), {"id": user_id})
                own.rollback()  # what is undone is nobody's

    def fold() -> int:
        saved = 0
        with engines.primary("eu").engine.connect() as connection:
            while not done.is_set():
                saved += int(connection.execute(FOLD).scalar_one())
                connection.commit()
        return saved

    def watch_them() -> list[int]:
        """Return the sums that a reader sees, which never go down."""
        seen = []
        with engines.primary("eu").engine.connect() as connection:
            while not done.is_set():
                seen.append(
                    int(
                        scalar(
                            connection,
                            "SELECT coalesce(sum(change), 0) FROM platform_counters "
                            "WHERE name = 'enrollments' AND detail = 'enrolled'",
                        )
                    )
                )
                connection.rollback()
        return seen

    with ThreadPoolExecutor(THREADS + 3) as threads:
        folding = [threads.submit(fold) for _ in range(2)]
        watching = threads.submit(watch_them)
        studying = [threads.submit(study, number) for number in range(THREADS)]
        try:
            for each in studying:
                each.result()
        finally:
            done.set()
        assert sum(each.result() for each in folding) > 0
        seen = watching.result()
    assert seen == sorted(seen)
    number = THREADS * EACH
    assert counters(session, "enrollments") == dict.fromkeys(
        ("enrolled", "started", "completed"), number
    )
    assert counters(session, "revenue") == {"payments EUR": number, "paid EUR": 100 * number}
    assert differences(session) == []


def test_a_fold_passes_by_what_is_not_committed(session: RoutingSession, engines: Engines) -> None:
    owner = engines.primary("eu").engine
    with bound(session):
        UserFactory.create_batch(2)
    session.commit()
    with owner.connect() as reader, owner.connect() as folder:
        reader.execution_options(isolation_level="REPEATABLE READ")
        assert total(reader, "users") == 2
        with bound(session):
            UserFactory.create()  # not committed
        assert folder.execute(FOLD).scalar_one() == 1
        # Before it commits, nobody sees a part of it; after it, a snapshot stays what it was.
        assert total(reader, "users") == 2
        folder.commit()
        assert total(reader, "users") == 2
        session.commit()
        assert (total(reader, "users"), total(folder, "users")) == (2, 3)
    assert differences(session) == []


def test_of_two_folds_one_goes_by(session: RoutingSession, engines: Engines) -> None:
    with bound(session):
        UserFactory.create_batch(3)
    session.commit()
    engine = engines.primary("eu").engine
    with engine.connect() as first, engine.connect() as second:
        assert first.execute(FOLD).scalar_one() == 2
        assert second.execute(FOLD).scalar_one() == 0  # at once
        first.rollback()
        assert second.execute(FOLD).scalar_one() == 2
        second.commit()
        assert total(first, "users") == 3
