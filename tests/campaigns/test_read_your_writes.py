"""Write, then read in another session, while replay stops and goes on at random.

With the token no read is stale. Without it reads are, or the test would show nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from threading import Event, Thread
from uuid import UUID

import pytest
from sqlalchemy import select, update

from elearning.config import Settings
from elearning.models import User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession, Token
from elearning.testing.factories import UserFactory, bound
from elearning.testing.switches import Switches
from tests.campaigns.conftest import FULL
from tests.served import served

pytestmark = pytest.mark.unmeasured

WORKERS = 8
PAIRS = 10_000 if FULL else 1_200
SHARDS = ("na", "eu", "asia")


@pytest.fixture
def users(engines: Engines, empty_databases: None) -> dict[int, list[UUID]]:
    """Return a user in each region for each worker."""
    found: dict[int, list[UUID]] = {worker: [] for worker in range(WORKERS)}
    for region in Region:
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            for mine in found.values():
                mine.append(UserFactory.create(region=region).id)
            session.commit()
    return found


@contextmanager
def replay_stopping(switches: Switches, random: Random) -> Iterator[list[str]]:
    """Pause and resume replay on random replicas until the end of the block."""
    ended, stops = Event(), list[str]()

    def stop_and_go() -> None:
        while not ended.is_set():
            shard = random.choice(SHARDS)
            with switches.replay_paused(f"{shard}-replica-1"):
                stops.append(shard)
                ended.wait(random.uniform(0, 0.08))
            ended.wait(random.uniform(0, 0.03))

    thread = Thread(target=stop_and_go)
    thread.start()
    try:
        yield stops
    finally:
        ended.set()
        thread.join()


def stale_reads(engines: Engines, users: list[UUID], pairs: int, seed: int, *, token: bool) -> int:
    """Write and read again, and return how many reads did not show what was written."""
    random, stale = Random(seed), 0
    seen = Token()
    for number in range(pairs):
        user_id, name = random.choice(users), f"Name {number}"
        with RoutingSession(engines=engines, token=str(seen)) as session:
            session.execute(update(User).where(User.id == user_id).values(first_name=name))
            session.commit()
            seen = session.token
        # As a cookie would carry it.
        with RoutingSession(engines=engines, token=str(seen) if token else None) as session:
            found = session.scalar(select(User.first_name).where(User.id == user_id))
        stale += found != name
    return stale


@pytest.mark.parametrize("token", [True, False], ids=["token", "control"])
def test_what_was_written_is_read(
    settings: Settings,
    switches: Switches,
    users: dict[int, list[UUID]],
    seed: int,
    *,
    token: bool,
) -> None:
    # The control needs no more than to show something.
    pairs = PAIRS if token else PAIRS // 4
    with (
        Engines(settings) as engines,
        served(engines) as nodes,
        replay_stopping(switches, Random(seed)) as stops,
        ThreadPoolExecutor(WORKERS) as threads,
    ):
        done = [
            threads.submit(
                stale_reads, engines, users[worker], pairs // WORKERS, seed + worker, token=token
            )
            for worker in range(WORKERS)
        ]
        stale = sum(each.result() for each in done)
    if token:
        assert stale == 0
        assert set(stops) == set(SHARDS)
        # By replicas, not by always asking the primaries.
        assert sum("replica" in node for node in nodes) > pairs / 5
    else:
        assert stale > 0
