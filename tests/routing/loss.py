"""What the tests of lost nodes have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from uuid import UUID

from sqlalchemy import update

from elearning.cluster.embedded.processes import wait_until
from elearning.config import Limits, Settings
from elearning.models import User
from elearning.routing import Engines, RoutingSession, Token
from elearning.testing.factories import UserFactory, bound

__all__ = ["QUICK", "new_user", "read", "taking_at_most", "wait_until", "with_limits", "write"]

QUICK = Limits(check_interval=0.1, max_silence=0.5)


def with_limits(settings: Settings, limits: Limits = QUICK) -> Settings:
    return replace(settings, limits=limits)


def new_user(engines: Engines, region: str = "europe") -> UUID:
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        user_id = UserFactory.create(region=region).id
        session.commit()
        # The replica has it from here on.
        assert session.get(User, user_id)
    return user_id


def write(engines: Engines, user_id: UUID, name: str = "New", token: Token | None = None) -> Token:
    with RoutingSession(engines=engines, token=token) as session:
        change = update(User).where(User.id == user_id).values(first_name=name)
        assert session.scalars(change.returning(User.id)).one() == user_id
        session.commit()
        return session.token


def read(engines: Engines, user_id: UUID, consistency: str = "session") -> str:
    with RoutingSession(engines=engines, consistency=consistency) as session:
        return session.get_one(User, user_id).first_name


@contextmanager
def taking_at_most(seconds: float) -> Iterator[None]:
    start = monotonic()
    yield
    assert monotonic() - start < seconds
