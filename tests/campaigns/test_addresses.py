"""All six regions register the same addresses at once, and clients are killed.

Each address has one account in the end. The clients settle each other's claims, as none is too
young, and hash with two keys, as while a key is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Limits, Settings
from elearning.regions import Region
from tests.campaigns.claims_checker import email_violations
from tests.campaigns.claims_client import Registering
from tests.campaigns.claims_crowd import Crowd, databases_of
from tests.campaigns.claims_steps import EMAIL_STEPS, choose_kills
from tests.campaigns.conftest import FULL

pytestmark = pytest.mark.unmeasured

ADDRESSES = 500 if FULL else 80
AT_ONCE = 20 if FULL else 10
DYING = 3  # of six
SECONDS = 0.4
KEYS = ("the key that addresses are looked up by", "the key that comes after it")
# Settled while whoever made it still registers.
LIMITS = Limits(check_interval=0.3, max_silence=1.0, claim_age=0.05)


def plan(addresses: Sequence[str], random: Random, died: Sequence[str]) -> list[Registering]:
    """Tell each client to register these, in an order of its own."""
    kills = [*choose_kills(random, EMAIL_STEPS, died, DYING, SECONDS), None, None, None]
    random.shuffle(kills)
    return [Registering(f"{random.random()}", kill, tuple(addresses)) for kill in kills]


@pytest.mark.usefixtures("empty_databases")
def test_addresses_under_kills(
    cluster: EmbeddedCluster, settings: Settings, seed: int, tmp_path: Path
) -> None:
    random = Random(seed)
    databases = databases_of(cluster)
    addresses: list[str] = []
    hostile = replace(settings, limits=LIMITS, email_keys=KEYS)
    with Crowd(hostile, databases, list(Region), tmp_path) as crowd:
        # Until clients have died everywhere: a few more addresses, if need be.
        while len(addresses) < ADDRESSES or set(crowd.died) != set(EMAIL_STEPS):
            assert len(addresses) < 2 * ADDRESSES, set(EMAIL_STEPS) - set(crowd.died)
            first = len(addresses)
            some = [f"person-{first + number}@example.com" for number in range(AT_ONCE)]
            addresses += some
            problems = crowd.act(plan(some, random, crowd.died))
            problems += crowd.recover()
            problems += email_violations(databases, KEYS, addresses, all_taken=False)
            assert problems == [], f"addresses from {first}, seed {seed}"
        crowd.show()
        # Those that nobody got are tried again, as a person would: one client does so.
        others = [Registering("", None, ())] * (len(Region) - 1)
        again = crowd.act([Registering("", None, tuple(addresses)), *others])
        assert again + crowd.recover() == []
        assert email_violations(databases, KEYS, addresses, all_taken=True) == []
    assert crowd.met["account"] <= len(addresses)
