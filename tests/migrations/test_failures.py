from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.embedded.processes import command_line, process_table
from elearning.cluster.migrations import Migrated, migrate
from elearning.config import Settings, Shard
from elearning.models import HEAD, REVISIONS
from tests.migrations.support import (
    Elearning,
    Known,
    catalog,
    databases,
    drifts,
    execute,
    locked,
    passwords,
    revision,
    schema,
    sessions,
    until,
    write_revision,
)
from tests.snapshots import connect

ALL = len(REVISIONS)
jobs = pytest.mark.parametrize("jobs", [1, 2])


@pytest.fixture
def three(settings: Settings, cluster: EmbeddedCluster) -> Iterator[Settings]:
    with databases(cluster, settings, "three", "na", "eu", "asia") as made:
        yield made


def unreachable(shard: Shard) -> Shard:
    return replace(shard, owner=shard.owner_url.set(port=1))


def break_0004(shard: Shard) -> None:
    """Write a row that was possible before 0003, and that 0004 finds."""
    execute(shard.owner_url, "INSERT INTO invoice_counters VALUES (99, 2026, 0)")


def mend(shard: Shard) -> None:
    execute(shard.owner_url, "DELETE FROM invoice_counters WHERE region_code = 99")


def by_shard(results: Iterator[Migrated]) -> dict[str, Migrated]:
    return {result.shard: result for result in results}


STOPPED = (
    "shard {}: stopped at 0003: check constraint "
    '"ck_invoice_counters_region_code" of relation "invoice_counters" is violated by some row'
)


@jobs
def test_a_shard_that_does_not_answer_stops_no_other(blank: Settings, jobs: int) -> None:
    na, eu = blank.shards
    results = by_shard(migrate(replace(blank, shards=(unreachable(na), eu)), jobs=jobs))
    assert results["na"].error is not None
    assert re.fullmatch(
        r"na-primary at 127\.0\.0\.1:1 is not available: .*[Cc]onnection.*", results["na"].error
    )
    assert not any(word in results["na"].error for word in passwords(blank))
    assert (results["na"].before, results["na"].after, results["na"].applied) == (None, None, 0)
    assert (results["eu"].after, results["eu"].error) == (HEAD, None)
    # A second run finishes what is left.
    assert [each.applied for each in migrate(blank)] == [ALL, 0]
    assert drifts(blank) == []


@jobs
def test_fail_fast_looks_at_all_before_the_first(blank: Settings, jobs: int) -> None:
    na, eu = blank.shards
    broken = replace(blank, shards=(na, unreachable(eu)))
    results = by_shard(migrate(broken, jobs=jobs, fail_fast=True))
    assert results["na"] == Migrated("na", error="left untouched, for eu failed")
    assert "eu-primary at 127.0.0.1:1 is not available" in str(results["eu"].error)
    assert revision(na) is None
    assert catalog(na) == catalog(eu)
    assert [each.error for each in migrate(blank, fail_fast=True)] == [None, None]
    assert drifts(blank) == []


@jobs
def test_a_revision_that_fails_stops_no_other_shard(three: Settings, jobs: int) -> None:
    assert [each.after for each in migrate(three, "0001")] == ["0001"] * 3
    na, eu, asia = three.shards
    break_0004(eu)
    results = by_shard(migrate(three, jobs=jobs))
    assert set(results) == {"na", "eu", "asia"}
    assert results["eu"].error == STOPPED.format("eu")
    assert [(each.before, each.after, each.applied) for each in (results["eu"], results["na"])] == [
        ("0001", "0003", 2),
        ("0001", HEAD, ALL - 1),
    ]
    assert all(each.seconds > 0 for each in results.values())
    assert [revision(shard) for shard in (na, eu, asia)] == [HEAD, "0003", HEAD]
    mend(eu)
    assert [each.applied for each in migrate(three)] == [0, ALL - 3, 0]
    assert drifts(three) == []


def test_fail_fast_touches_no_shard_after_the_first_failure(three: Settings) -> None:
    assert [each.after for each in migrate(three, "0001")] == ["0001"] * 3
    na, eu, asia = three.shards
    break_0004(eu)
    assert [(each.shard, each.after, each.error) for each in migrate(three, fail_fast=True)] == [
        ("na", HEAD, None),
        ("eu", "0003", STOPPED.format("eu")),
        ("asia", None, "left untouched, for eu failed"),
    ]
    assert [revision(shard) for shard in (na, eu, asia)] == [HEAD, "0003", "0001"]
    mend(eu)
    assert [each.error for each in migrate(three, fail_fast=True)] == [None] * 3
    assert drifts(three) == []


def test_fail_fast_with_two_processes_begins_no_other_shard(three: Settings) -> None:
    assert [each.after for each in migrate(three, "0001")] == ["0001"] * 3
    na, eu, asia = three.shards
    break_0004(na)
    results = migrate(three, jobs=2, fail_fast=True)
    with locked(eu):  # it is busy until the first has failed
        assert next(results).error == STOPPED.format("na")
    rest = by_shard(results)
    assert (rest["eu"].after, rest["eu"].error) == (HEAD, None)
    assert rest["asia"].error == "left untouched, for na failed"
    assert [revision(shard) for shard in (na, eu, asia)] == ["0003", HEAD, "0001"]
    mend(na)
    assert [each.error for each in migrate(three, fail_fast=True)] == [None] * 3
    assert drifts(three) == []


def test_the_command_tells_and_fails(blank: Settings, elearning: Elearning) -> None:
    assert [each.after for each in migrate(blank, "0001")] == ["0001"] * 2
    na = blank.shard("na")
    break_0004(na)
    done = elearning(blank, "migrate")
    assert done.code == 1
    assert done.err == "run it again when the cause is gone: it goes on where it stopped\n"
    failed, finished = done.out.splitlines()[1:]
    assert re.fullmatch(rf"✗ na +0001 +0003 +\d+\.\d s  {re.escape(STOPPED.format('na'))}", failed)
    assert re.fullmatch(rf"✓ eu +0001 +{HEAD} +\d+\.\d s  {ALL - 1} revision\(s\) run", finished)
    mend(na)
    assert elearning(blank, "migrate", "--fail-fast").code == 0
    assert drifts(blank) == []


def test_a_table_that_is_locked_fails_one_revision(blank: Settings, known: Known) -> None:
    na, eu = blank.shards
    assert [each.error for each in migrate(blank, "0001", shards=["na"])] == [None]
    assert [each.error for each in migrate(blank, "0004", shards=["eu"])] == [None]
    with connect(na.owner_url) as one, connect(eu.owner_url) as other:
        for connection in (one, other):
            # Where nothing else ends the wait, this does.
            connection.execute("SET idle_in_transaction_session_timeout = '90s'")
            connection.execute("BEGIN")
        # 0002 leaves the counters alone, 0003 does not. The regions are read before, and written
        # after the last revision.
        one.execute("LOCK TABLE invoice_counters IN ACCESS EXCLUSIVE MODE")
        other.execute("LOCK TABLE hosted_regions IN SHARE MODE")
        results = by_shard(migrate(blank, jobs=2))
    for name, before, after, applied in (("na", "0001", "0002", 1), ("eu", "0004", HEAD, ALL - 4)):
        result = results[name]
        assert result.error == (
            f"shard {name}: stopped at {after}: canceling statement due to lock timeout"
        )
        assert (result.before, result.after, result.applied) == (before, after, applied)
        assert 5 <= result.seconds < 60
    assert revision(na) == "0002"
    assert schema(na) == known["0002"]
    again = by_shard(migrate(blank))
    assert [(again[name].before, again[name].error) for name in ("na", "eu")] == [
        ("0002", None),
        (HEAD, None),
    ]
    assert drifts(blank) == []


def test_a_revision_whose_commit_fails_has_not_been(filled: Settings, scripts: Path) -> None:
    write_revision(
        scripts,
        "0010",
        "op.execute('CREATE TABLE late (id uuid REFERENCES users DEFERRABLE INITIALLY DEFERRED)')",
        "op.execute('INSERT INTO late VALUES (gen_random_uuid())')",
    )
    for result in migrate(filled, scripts=scripts):
        assert result.error == (
            f"shard {result.shard}: stopped at {HEAD}: insert or update on table "
            '"late" violates foreign key constraint "late_id_fkey"'
        )
        assert (result.before, result.after, result.applied) == (HEAD, HEAD, 0)
    assert drifts(filled) == []


@jobs
def test_a_mistake_in_a_revision_is_told_of_every_shard(
    filled: Settings, scripts: Path, jobs: int
) -> None:
    write_revision(scripts, "0010", "op.execute('CREATE TABLE eight ()')")
    write_revision(scripts, "0011", "op.execute('CREATE TABLE nine ()')", "1 / 0", after="0010")
    results = by_shard(migrate(filled, scripts=scripts, jobs=jobs))
    for name in ("na", "eu"):
        result = results[name]
        assert result.error == f"shard {name}: ZeroDivisionError: division by zero"
        assert (result.before, result.after, result.applied) == (HEAD, "0010", 1)
        assert revision(filled.shard(name)) == "0010"
        assert "table nine" not in catalog(filled.shard(name))


def test_a_worker_that_is_killed_is_told(blank: Settings) -> None:
    na, eu = blank.shards
    with ThreadPoolExecutor(1) as thread, locked(na), locked(eu):
        running = thread.submit(lambda: by_shard(migrate(blank, jobs=2)))
        until(lambda: bool(sessions(na) and sessions(eu)))
        mine = [each.pid for each in process_table() if each.parent == os.getpid()]
        workers = [pid for pid in mine if "spawn_main" in command_line(pid)]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        results = running.result()
    assert set(results) == {"na", "eu"}
    assert all("\n" not in str(each.error) for each in results.values())
    assert all("run it again" in str(each.error) for each in results.values())
    assert [each.error for each in migrate(blank)] == [None, None]
    assert drifts(blank) == []
