"""Two transactions that wait for each other: PostgreSQL ends one of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import select

from elearning.errors import Deadlock
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound
from tests.models.support import pid_of, stops_another, until


def test_it_is_told_in_our_own_words_and_can_be_done_again(
    session: RoutingSession, engines: Engines
) -> None:
    with bound(session):
        first, second = (UserFactory.create().id for _ in range(2))
    session.commit()

    def lock(one: RoutingSession, user_id: UUID) -> None:
        one.execute(select(User.id).where(User.id == user_id).with_for_update())

    def both(one: RoutingSession) -> str:
        try:
            lock(one, first)
        except Deadlock as error:
            one.rollback()
            return str(error)
        one.commit()
        return ""

    with (
        RoutingSession(engines=engines) as other,
        engines.primary("eu").engine.connect() as watch,
        ThreadPoolExecutor(1) as thread,
    ):
        lock(session, first)
        lock(other, second)
        waiting = thread.submit(both, other)
        pid = pid_of(session.connection())
        until(lambda: stops_another(watch, pid))
        mine = ""
        try:
            lock(session, second)
        except Deadlock as error:
            mine = str(error)
        session.rollback()
        told = [each for each in (mine, waiting.result()) if each]
        assert len(told) == 1
        assert told[0].startswith("eu-primary: this transaction and another one waited")
        lock(session, first)
        lock(session, second)
