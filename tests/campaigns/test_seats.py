"""Clients in all regions fight for the last seats, and are killed; so is a primary, each round.

After recovery seats, claims and enrollments agree, and no course is oversold.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from time import sleep

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Limits, Settings
from elearning.regions import Region
from elearning.routing import Engines
from elearning.testing.switches import Switches
from tests.campaigns.claims_checker import seat_violations
from tests.campaigns.claims_client import Enrolling
from tests.campaigns.claims_crowd import Crowd, databases_of
from tests.campaigns.claims_steps import SEAT_STEPS, Kill, choose_kills
from tests.campaigns.claims_world import World, make_world
from tests.campaigns.conftest import FULL

pytestmark = pytest.mark.unmeasured

ROUNDS = 200 if FULL else 10
CLIENTS = 8
DYING = 4 if FULL else 3  # of the clients, in each round
COURSES = 50
HOT = 8  # that are fought for in a round
SECONDS = 0.8 if FULL else 0.6
# Two regions have two clients each: one person is enrolled by two processes at once.
REGIONS = tuple((list(Region) * 2)[:CLIENTS])
LIMITS = Limits(check_interval=0.3, max_silence=1.0, max_copy_wait=2.0)


def plan(world: World, random: Random, died: Sequence[str]) -> list[Enrolling]:
    """Tell each client what to do in a round."""
    kills: list[Kill | None] = [*choose_kills(random, SEAT_STEPS, died, DYING, SECONDS)]
    kills += [None] * (CLIENTS - DYING)
    random.shuffle(kills)
    courses = tuple(random.sample(world.courses, len(world.courses)))
    return [
        Enrolling(
            f"{random.random()}", kill, SECONDS, world.users[region], courses[:HOT], courses[HOT:]
        )
        for kill, region in zip(kills, REGIONS, strict=True)
    ]


def lose_primary(switches: Switches, random: Random) -> None:
    """Kill a primary while the clients act, and start it again."""
    node = f"{random.choice(['na', 'eu', 'asia'])}-primary"
    sleep(random.uniform(0.2, SECONDS))
    switches.kill(node)
    sleep(random.uniform(0, 0.2))
    switches.restart(node)


@pytest.mark.usefixtures("empty_databases")
def test_seats_under_kills(
    cluster: EmbeddedCluster,
    settings: Settings,
    engines: Engines,
    switches: Switches,
    seed: int,
    tmp_path: Path,
) -> None:
    # The full form takes longer than a test that hangs; whatever hangs here ends by itself.
    faulthandler.cancel_dump_traceback_later()
    random = Random(seed)
    databases = databases_of(cluster)
    world = make_world(engines, databases, courses=COURSES, users=6)
    with Crowd(replace(settings, limits=LIMITS), databases, REGIONS, tmp_path) as crowd:
        for number in range(2 * ROUNDS):
            if number >= ROUNDS and set(crowd.died) == set(SEAT_STEPS):
                break
            orders = plan(world, random, crowd.died)
            problems = crowd.act(orders, lambda: lose_primary(switches, random))
            problems += crowd.recover()
            assert problems + seat_violations(databases) == [], f"round {number}, seed {seed}"
    crowd.show()
    # It shows something: clients died at every step, and fought.
    assert set(crowd.died) == set(SEAT_STEPS)
    assert crowd.met["take_seat"] > ROUNDS
    assert crowd.met["take_seat: CourseFull"] > ROUNDS


@pytest.mark.skipif(not FULL, reason="test_claims_control shows it in one turn of events")
@pytest.mark.usefixtures("empty_databases")
def test_a_broken_protocol_is_caught(
    cluster: EmbeddedCluster, settings: Settings, engines: Engines, seed: int, tmp_path: Path
) -> None:
    random = Random(seed)
    databases = databases_of(cluster)
    world = make_world(engines, databases, courses=COURSES, users=6)
    hostile = replace(settings, limits=LIMITS)
    with Crowd(hostile, databases, REGIONS, tmp_path, broken=True) as crowd:
        for _ in range(ROUNDS):
            crowd.act(plan(world, random, crowd.died))
            crowd.recover(most=2)
            if any("oversold" in each for each in seat_violations(databases)):
                return
    pytest.fail("nothing was oversold without the row that decides")
