"""The checker finds each kind of damage: rows are changed behind the back of all triggers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.flows import NewUser, Platform, enroll, join_waitlist, register
from elearning.regions import Region
from elearning.routing import Engines
from tests.campaigns.claims_checker import (
    Shards,
    connected,
    emails_wrong,
    seats_wrong,
)
from tests.campaigns.claims_crowd import databases_of
from tests.campaigns.claims_world import make_world

KEYS = ("a key of sixteen characters", "another key of that length")
ADDRESSES = ("ann@example.com", "bo@example.com")
# What is done on every shard, and what the checker says then.
SEATS = {
    "UPDATE course_seats SET taken = taken + 1": "2 seats taken, 1 claims, 1 enrollments",
    "UPDATE course_seats SET taken = 0": "1 wait, 0 of 1 seats are taken",
    "UPDATE claims SET status = 'pending', settled_at = NULL": "still pending",
    "UPDATE claims SET status = 'released'": "enrolled without a confirmed claim",
    "UPDATE claims SET id = gen_random_uuid()": "a claim without an enrollment",
    "UPDATE claims SET holder_id = id": "enrolled without a confirmed claim",
    "UPDATE enrollments SET status = 'dropped'": "used without an enrollment",
    "UPDATE claim_outcomes SET outcome = 'released'": "enrolled without a decision",
    "UPDATE courses SET max_enrollments = NULL": "1 wait, 1 of None",
    "UPDATE course_statistics SET enrollments = 7": "7 counted, 1 enrollments",
    "INSERT INTO outbox (topic, payload) VALUES ('t', '{}')": "in the outbox",
    "DELETE FROM enrollments": "1 seats taken, 1 claims, 0 enrollments",
    "DROP INDEX uq_claims_seat; "
    "INSERT INTO claims (id, kind, fact, holder_id, status, settled_at) "
    "SELECT new_id(5), kind, fact, holder_id, status, now() FROM claims": "2 claims of a user",
    "ALTER TABLE enrollments DROP CONSTRAINT uq_enrollments_user_id_course_id; "
    "INSERT INTO enrollments (id, user_id, course_id) "
    "SELECT new_id(5), user_id, course_id FROM enrollments": "2 enrollments of a user",
    "INSERT INTO enrollments (id, user_id, course_id) "
    "SELECT new_id(5), new_id(5), course_id FROM enrollments": "2 enrollments, limit 1",
}
EMAILS = {
    "UPDATE users SET email = 'x' || email": "nobody asked for it",
    "DELETE FROM users": "no account",
    "UPDATE claims SET status = 'pending', settled_at = NULL": "still pending",
    "UPDATE claims SET status = 'released'": "an account without a claim",
    "UPDATE claims SET holder_id = id": "a claim without an account",
    "UPDATE claim_outcomes SET outcome = 'released'": "claimed, and not used",
    "DELETE FROM claims": "used, and not claimed",
    "UPDATE users SET email = 'ann@example.com'": "2 accounts of an address",
    "DROP INDEX uq_claims_email; "
    "INSERT INTO claims (id, kind, fact, holder_id, status, settled_at) "
    "SELECT new_id(5), kind, fact, holder_id, status, now() FROM claims": "2 claims of an address",
}


@contextmanager
def damaged(databases: dict[str, str], statement: str) -> Iterator[Shards]:
    """Do something on all shards, whatever forbids it, and undo it after the block."""
    with connected(databases) as shards:
        for connection in shards.values():
            connection.execute("BEGIN; SET LOCAL session_replication_role = replica")
            connection.execute(statement.encode())
        yield shards
        for connection in shards.values():
            connection.execute("ROLLBACK")


@pytest.fixture
def databases(cluster: EmbeddedCluster) -> dict[str, str]:
    return databases_of(cluster)


async def test_damaged_seats_are_found(
    platform: Platform, engines: Engines, databases: dict[str, str]
) -> None:
    """One person of Asia is in a course of Europe with one seat; another one waits for it."""
    world = make_world(engines, databases, courses=6, users=2)
    course = world.courses[2]
    first, second = world.users[Region.ASIA]
    await enroll(platform, first, course)
    await join_waitlist(platform, second, course)
    await platform.background.finish()
    with damaged(databases, "SELECT") as shards:
        assert seats_wrong(shards) == []
    for statement, expected in SEATS.items():
        with damaged(databases, statement) as shards:
            found = seats_wrong(shards)
        assert any(expected in each for each in found), f"{statement}: {found}"


@pytest.mark.usefixtures("empty_databases")
async def test_damaged_addresses_are_found(settings: Settings, databases: dict[str, str]) -> None:
    async with Platform(replace(settings, email_keys=KEYS)) as platform:
        for region, address in zip((Region.ASIA, Region.EUROPE), ADDRESSES, strict=True):
            user = NewUser(region=region, email=address, first_name="A", last_name="B")
            await register(platform, user)
    with damaged(databases, "SELECT") as shards:
        assert emails_wrong(shards, KEYS, ADDRESSES, all_taken=True) == []
    for statement, expected in EMAILS.items():
        with damaged(databases, statement) as shards:
            found = emails_wrong(shards, KEYS, ADDRESSES, all_taken=True)
        assert any(expected in each for each in found), f"{statement}: {found}"
