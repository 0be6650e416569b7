"""Users to read and write."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from elearning.models import User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound


def people(engines: Engines, region: Region, number: int) -> Sequence[UUID]:
    """Make users, and return their ids when a replica has them."""
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        ids = [user.id for user in UserFactory.create_batch(number, region=region)]
        session.commit()
        session.execute(select(User.id).where(User.id == ids[-1])).one()
    return ids


def somebody(engines: Engines) -> UUID:
    """Make a user in Europe, and return its id when a replica has it."""
    return people(engines, Region.EUROPE, 1)[0]
