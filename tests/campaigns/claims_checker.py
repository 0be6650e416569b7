"""Reads the end of a campaign by plain SQL, and tells what must not be.

Nothing here comes from our own code: neither models nor routines nor the hash of an address.
The databases are at rest by then: see `wait_quiet` and `unsettled`.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import psycopg

__all__ = [
    "Shards",
    "connected",
    "deadlocks",
    "email_violations",
    "emails_wrong",
    "seat_violations",
    "seats_wrong",
    "unsettled",
    "wait_quiet",
]

Databases = Mapping[str, str]
"""The URLs of all primaries, by shard, as the superuser."""

_REGIONS = 6


@dataclass(frozen=True)
class _Row:
    """A row, with the shard that it stands on."""

    shard: str
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __str__(self) -> str:
        return f"{self.shard} {json.dumps(dict(self.values), default=str)}"


Shards = Mapping[str, psycopg.Connection[tuple[Any, ...]]]
"""A connection to each primary."""


@contextmanager
def connected(databases: Databases) -> Iterator[Shards]:
    """Connect to all primaries for the time of a block."""
    with ExitStack() as stack:
        yield {
            shard: stack.enter_context(psycopg.connect(url, autocommit=True))
            for shard, url in databases.items()
        }


def _read(shards: Shards, statement: str) -> list[_Row]:
    rows = []
    for shard, connection in shards.items():
        cursor = connection.execute(statement.encode())
        names = [column.name for column in cursor.description or ()]
        rows += [_Row(shard, dict(zip(names, row, strict=True))) for row in cursor]
    return rows


def wait_quiet(databases: Databases, *, most: float = 30.0) -> None:
    """Wait until no server works for a client any more, be it one that was killed.

    Raises:
        TimeoutError: one still does.
    """
    end = monotonic() + most
    with connected(databases) as shards:
        for shard, connection in shards.items():
            while connection.execute(_BUSY).fetchone() != (0,):
                if monotonic() > end:
                    message = f"{shard} is still busy"
                    raise TimeoutError(message)
                sleep(0.01)


_BUSY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE usename = 'elearning_app' AND state <> 'idle'
"""


def deadlocks(databases: Databases) -> dict[str, int]:
    """Return how many deadlocks each server has seen since it was started."""
    with connected(databases) as shards:
        found = _read(
            shards, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    return {row.shard: row["deadlocks"] for row in found}


def unsettled(databases: Databases) -> list[str]:
    """Return what recovery has still to do: pending claims, and messages."""
    with connected(databases) as shards:
        return _unsettled(shards)


def seat_violations(databases: Databases) -> list[str]:
    """Return what is wrong with seats: nothing, if every promise was kept."""
    with connected(databases) as shards:
        return seats_wrong(shards)


def email_violations(
    databases: Databases, keys: Sequence[str], addresses: Collection[str], *, all_taken: bool
) -> list[str]:
    """Return what is wrong with addresses.

    Args:
        databases: the primaries.
        keys: what addresses are hashed with.
        addresses: that were registered.
        all_taken: whether each has to have an account by now, or may have none.
    """
    with connected(databases) as shards:
        return emails_wrong(shards, keys, addresses, all_taken=all_taken)


def _unsettled(shards: Shards) -> list[str]:
    pending = _read(shards, "SELECT id, kind, holder_id FROM claims WHERE status = 'pending'")
    messages = _read(shards, "SELECT id, topic, payload, problem FROM outbox")
    return [
        *(f"still pending: {row}" for row in pending),
        *(f"in the outbox: {row}" for row in messages),
    ]


def seats_wrong(shards: Shards) -> list[str]:
    """Do what `seat_violations` does, over these connections."""
    homes = _homes(shards)
    claims = _read(
        shards,
        "SELECT id, holder_id, status, encode(fact, 'hex')::uuid AS course_id "
        "FROM claims WHERE kind = 'seat' AND status <> 'released'",
    )
    enrollments = _read(
        shards,
        "SELECT id, user_id, course_id, claim_id FROM enrollments "
        "WHERE status IN ('active', 'completed')",
    )
    return [
        *_unsettled(shards),
        *_misplaced(homes, claims, "course_id"),
        *_misplaced(homes, enrollments, "user_id"),
        *_miscounted(shards, homes, claims, enrollments),
        *_unmatched(claims, enrollments),
        *_twice("claims of a user", claims, "course_id", "holder_id"),
        *_twice("enrollments of a user", enrollments, "course_id", "user_id"),
        *_misused(shards, enrollments),
        *_statistics(shards, homes, enrollments),
    ]


def emails_wrong(
    shards: Shards, keys: Sequence[str], addresses: Collection[str], *, all_taken: bool
) -> list[str]:
    """Do what `email_violations` does, over these connections."""
    homes = _homes(shards)
    found = [*_unsettled(shards)]
    accounts = _read(shards, "SELECT id, email FROM users")
    claims = _read(
        shards,
        "SELECT id, fact, holder_id, status FROM claims "
        "WHERE kind = 'email' AND status <> 'released'",
    )
    used = _read(
        shards,
        "SELECT claim_id, fact, holder_id FROM claim_outcomes "
        "WHERE kind = 'email' AND outcome = 'used'",
    )
    found += _twice("accounts of an address", accounts, "email")
    found += _twice("claims of an address", claims, "fact")
    found += [f"nobody asked for it: {row}" for row in accounts if row["email"] not in addresses]
    missing = set(addresses) - {row["email"] for row in accounts}
    found += [f"no account: {address}" for address in sorted(missing) if all_taken]

    # Each account has one confirmed claim under each key, where its hash belongs.
    expected = {
        (homes[int.from_bytes(fact[-2:], "big") % _REGIONS + 1], fact, row["id"])
        for row in accounts
        for fact in (_hash(key, row["email"]) for key in keys)
    }
    confirmed = {
        (row.shard, row["fact"], row["holder_id"]) for row in claims if row["status"] == "confirmed"
    }
    found += [f"an account without a claim: {each}" for each in expected - confirmed]
    found += [f"a claim without an account: {each}" for each in confirmed - expected]
    here = {(row["claim_id"], row["fact"], row["holder_id"]) for row in used}
    there = {(row["id"], row["fact"], row["holder_id"]) for row in claims}
    found += [f"used, and not claimed: {each}" for each in here - there]
    found += [f"claimed, and not used: {each}" for each in there - here]
    found += _misplaced(homes, accounts, "id") + _misplaced(homes, used, "holder_id")
    return found


def _homes(shards: Shards) -> dict[int, str]:
    """Return the shard of each region's code."""
    hosted = _read(shards, "SELECT region_code FROM hosted_regions")
    return {row["region_code"]: row.shard for row in hosted}


def _home(homes: Mapping[int, str], id_: UUID) -> str:
    return homes[id_.bytes[7]]


def _hash(key: str, address: str) -> bytes:
    name = hmac.new(key.encode(), b"elearning: which key this is", "sha256").digest()[:4]
    return name + hmac.new(key.encode(), address.encode(), "sha256").digest()


def _misplaced(homes: Mapping[int, str], rows: Sequence[_Row], column: str) -> list[str]:
    return [f"on a wrong shard: {row}" for row in rows if _home(homes, row[column]) != row.shard]


def _twice(what: str, rows: Sequence[_Row], *columns: str) -> list[str]:
    counted = Counter(tuple(row[column] for column in columns) for row in rows)
    return [f"{number} {what}: {key}" for key, number in counted.items() if number > 1]


def _miscounted(
    shards: Shards,
    homes: Mapping[int, str],
    claims: Sequence[_Row],
    enrollments: Sequence[_Row],
) -> list[str]:
    """Compare seats taken, claims, enrollments and the limit of each course."""
    courses = _read(shards, "SELECT id, max_enrollments FROM courses")
    taken = {
        row["course_id"]: row["taken"]
        for row in _read(shards, "SELECT course_id, taken FROM course_seats")
        if _home(homes, row["course_id"]) == row.shard
    }
    waiting = Counter(
        row["course_id"]
        for row in _read(shards, "SELECT course_id FROM waitlist WHERE status = 'waiting'")
    )
    held = Counter(row["course_id"] for row in claims)
    live = Counter(row["course_id"] for row in enrollments)
    found = []
    for course in courses:
        id_, limit = course["id"], course["max_enrollments"]
        if _home(homes, id_) != course.shard:
            continue
        seats = taken.get(id_, 0)
        if not seats == held[id_] == live[id_]:
            found.append(
                f"course {id_}: {seats} seats taken, {held[id_]} claims, {live[id_]} enrollments"
            )
        if limit is not None and max(seats, live[id_]) > limit:
            found.append(f"course {id_} is oversold: {live[id_]} enrollments, limit {limit}")
        if waiting[id_] and (limit is None or seats < limit):
            found.append(f"course {id_}: {waiting[id_]} wait, {seats} of {limit} seats are taken")
    return found


def _unmatched(claims: Sequence[_Row], enrollments: Sequence[_Row]) -> list[str]:
    """Each live enrollment has a confirmed claim of its own, and the other way round."""
    confirmed = {
        row["id"]: (row["course_id"], row["holder_id"])
        for row in claims
        if row["status"] == "confirmed"
    }
    used = {row["claim_id"]: (row["course_id"], row["user_id"]) for row in enrollments}
    return [
        f"enrolled without a confirmed claim: {row}"
        for row in enrollments
        if confirmed.get(row["claim_id"]) != (row["course_id"], row["user_id"])
    ] + [f"a claim without an enrollment: {row}" for row in claims if row["id"] not in used]


def _misused(shards: Shards, enrollments: Sequence[_Row]) -> list[str]:
    """What is decided as used is used by an enrollment of the same shard, and no other is."""
    outcomes = {
        (row.shard, row["claim_id"], row["course_id"], row["holder_id"])
        for row in _read(
            shards,
            "SELECT claim_id, holder_id, encode(fact, 'hex')::uuid AS course_id "
            "FROM claim_outcomes WHERE kind = 'seat' AND outcome = 'used'",
        )
    }
    live = {(row.shard, row["claim_id"], row["course_id"], row["user_id"]) for row in enrollments}
    return [f"used without an enrollment: {each}" for each in outcomes - live] + [
        f"enrolled without a decision: {each}" for each in live - outcomes
    ]


def _statistics(shards: Shards, homes: Mapping[int, str], enrollments: Sequence[_Row]) -> list[str]:
    """Compare the counters, each at its home, with what they count."""
    counted = Counter((row["course_id"], row["user_id"].bytes[7]) for row in enrollments)
    kept = Counter(
        {
            (row["course_id"], row["region_code"]): row["enrollments"]
            for row in _read(
                shards, "SELECT course_id, region_code, enrollments FROM course_statistics"
            )
            if homes[row["region_code"]] == row.shard
        }
    )
    return [
        f"course {course}, region {region}: {kept[course, region]} counted, "
        f"{counted[course, region]} enrollments"
        for course, region in {*counted, *kept}
        if kept[course, region] != counted[course, region]
    ]
