"""Reading what was just written, from a replica that has it."""

from __future__ import annotations

from itertools import count
from uuid import UUID

from rich.table import Table
from sqlalchemy import create_engine, update
from sqlalchemy.orm import Session

from benchmarks.people import somebody
from benchmarks.timing import differences, measure
from elearning.models import User
from elearning.routing import Engines, RoutingSession

ROUNDS = 300

_PLAIN, _TOKEN = "plain", "token"


def write_then_read(engines: Engines) -> Table:
    """Write a row and read it in the next session; plain Sessions do both on the primary."""
    user_id = somebody(engines)
    primary = create_engine(engines.primary("eu").engine.url)
    numbers = count()

    def by_session() -> None:
        name = f"Obi {next(numbers)}"
        with Session(primary) as session:
            _rename(session, user_id, name)
        with Session(primary) as session:
            assert session.get_one(User, user_id).last_name == name

    def by_routing_session() -> None:
        name = f"Obi {next(numbers)}"
        with RoutingSession(engines=engines, region="asia") as session:
            _rename(session, user_id, name)
            token = str(session.token)
        with RoutingSession(engines=engines, region="asia", token=token) as session:
            assert session.get_one(User, user_id).last_name == name

    try:
        times = measure(
            {_PLAIN: by_session, _TOKEN: by_routing_session}, ROUNDS, warm_up=ROUNDS // 10
        )
    finally:
        primary.dispose()
    name = "update and commit, then read by id"
    return differences(
        "write, then read with the token", {name: (times[_PLAIN], times[_TOKEN])}, {name: "<= 1 ms"}
    )


def _rename(session: Session, user_id: UUID, name: str) -> None:
    session.execute(update(User).where(User.id == user_id).values(last_name=name))
    session.commit()
