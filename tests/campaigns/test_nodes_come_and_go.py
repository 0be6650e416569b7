"""Clients write and read with tokens while nodes are killed, silenced and mended at random.

Errors are of the kind that is promised, of the shard that is broken, and in time; what was
acknowledged is there in the end; and no read with a token is stale.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from threading import Event
from time import monotonic
from uuid import UUID

import pytest
from sqlalchemy import select, update

from elearning.config import Limits, Settings
from elearning.errors import NodeUnavailable
from elearning.ids import region_of
from elearning.models import User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession, Token
from elearning.testing.factories import UserFactory, bound
from elearning.testing.switches import Switches
from tests.campaigns.conftest import FULL
from tests.routing.loss import with_limits

pytestmark = pytest.mark.unmeasured

WORKERS = 6
FAULTS = 120 if FULL else 8
LIMITS = Limits(check_interval=0.2, max_silence=0.8)
LONGEST = 3.5  # seconds; what is promised, and half a second for a busy machine


@dataclass
class Client:
    """One client: what it knows of each of its users, and what it met."""

    users: list[UUID]
    acknowledged: dict[UUID, str] = field(default_factory=dict)
    possible: dict[UUID, set[str]] = field(default_factory=dict)
    errors: list[tuple[str, float]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    done: int = 0

    def run(self, engines: Engines, ended: Event, seed: int) -> None:
        random, token, number = Random(seed), Token(), 0
        while not ended.is_set():
            user_id, number = random.choice(self.users), number + 1
            start = monotonic()
            try:
                self.write(engines, token, user_id, f"Name {number}")
                self.read(engines, token, user_id)
                self.done += 1
            except NodeUnavailable as error:
                self.errors.append((str(error.values["node"]), monotonic() - start))

    def write(self, engines: Engines, token: Token, user_id: UUID, name: str) -> None:
        # Until it is acknowledged, it may have happened or not.
        self.possible.setdefault(user_id, set()).add(name)
        with RoutingSession(engines=engines, token=token) as session:
            session.execute(update(User).where(User.id == user_id).values(first_name=name))
            session.commit()
        self.acknowledged[user_id] = name
        self.possible[user_id] = {name}

    def read(self, engines: Engines, token: Token, user_id: UUID) -> None:
        with RoutingSession(engines=engines, token=token) as session:
            found = session.scalar(select(User.first_name).where(User.id == user_id))
        if found not in self.possible[user_id]:
            self.stale.append(f"{user_id}: {found}, not one of {self.possible[user_id]}")


def break_and_mend(switches: Switches, random: Random, ended: Event) -> list[str]:
    """Break one node after the other, and return which."""
    broken = []
    faults: list[tuple[Callable[[str], None], Callable[[str], None]]] = [
        (switches.kill, switches.restart),
        (switches.silence, switches.speak),
        (switches.pause_replay, switches.resume_replay),
    ]
    try:
        for number in range(FAULTS):
            role = "primary" if random.random() < 0.5 else "replica-1"
            node = f"{random.choice(['na', 'eu', 'asia'])}-{role}"
            # Each in turn, so that a short run meets all; only replicas replay.
            fault, mend = faults[number % (2 if role == "primary" else 3)]
            fault(node)
            broken.append(node)
            ended.wait(random.uniform(0.2, 1.2))
            mend(node)
    finally:
        ended.set()
    return broken


@pytest.mark.usefixtures("empty_databases")
def test_nodes_come_and_go(
    settings: Settings, engines: Engines, switches: Switches, seed: int
) -> None:
    clients = [Client([]) for _ in range(WORKERS)]
    for region in Region:
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            for client in clients:
                client.users.append(UserFactory.create(region=region, first_name="Name 0").id)
            session.commit()
    ended = Event()
    with (
        Engines(with_limits(settings, LIMITS)) as lost,
        ThreadPoolExecutor(WORKERS) as threads,
    ):
        running = [
            threads.submit(client.run, lost, ended, seed + number)
            for number, client in enumerate(clients)
        ]
        broken = break_and_mend(switches, Random(seed), ended)
        for each in running:
            each.result(60)
    assert [each for client in clients for each in client.stale] == []
    errors = [each for client in clients for each in client.errors]
    shards = {node.split("-")[0] for node in broken}
    assert {node.split("-")[0] for node, _ in errors} <= shards
    assert max((seconds for _, seconds in errors), default=0) < LONGEST
    assert sum(client.done for client in clients) > 10 * FAULTS
    for client in clients:
        for user_id, possible in client.possible.items():
            with RoutingSession(engines=engines, consistency="primary") as session:
                found = session.get_one(User, user_id).first_name
            assert found in possible, f"acknowledged in {region_of(user_id)}, and lost"
