from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from elearning.cluster.migrations import migrate
from elearning.cluster.migrations.access import owner_connection
from elearning.cluster.migrations.lock import LOCK_KEY, migration_lock
from elearning.config import Settings
from elearning.errors import MigrationLocked
from elearning.models import HEAD, REVISIONS
from tests.migrations.support import (
    ROOT,
    Elearning,
    drifts,
    environment,
    locked,
    revision,
    rows,
    sessions,
    until,
)
from tests.snapshots import connect

COMMAND = [sys.executable, "-c", "from elearning.cli import main; main()", "migrate"]
WAITS_IDLE = [("idle", None)]


def test_a_second_migration_waits_says_so_and_goes_on(
    blank: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    na, eu = blank.shards
    with ThreadPoolExecutor(1) as thread:
        with locked(eu) as pid:
            waiting = thread.submit(lambda: list(migrate(blank)))
            until(lambda: bool(caplog.records))
            # Between two tries it holds no transaction, which would stop others.
            until(lambda: sessions(eu) == WAITS_IDLE)
            assert (revision(na), revision(eu)) == (HEAD, None)
        results = waiting.result()
    assert [(each.after, each.error) for each in results] == [(HEAD, None), (HEAD, None)]
    assert drifts(blank) == []
    assert caplog.record_tuples == [
        (
            "elearning.migrations",
            30,
            f"shard eu: another migration runs (process {pid} of the server), waiting up to 60 s",
        )
    ]


def test_who_waits_stops_no_index_from_being_built(filled: Settings) -> None:
    eu = filled.shard("eu")
    with ThreadPoolExecutor(1) as thread:
        with connect(eu.owner_url) as first:
            first.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
            waiting = thread.submit(lambda: list(migrate(filled, shards=["eu"])))
            until(lambda: sessions(eu) == WAITS_IDLE)
            first.execute("SET statement_timeout = '20s'")
            first.execute("CREATE INDEX CONCURRENTLY built ON users (first_name)")
            assert not waiting.done()
        assert [each.error for each in waiting.result()] == [None]


def test_a_lock_that_stays_is_given_up(blank: Settings) -> None:
    with locked(blank.shard("na")) as pid:
        locked_out, done = migrate(blank, lock_wait=0.3)
        assert locked_out.error == (
            f"shard na: another migration (process {pid} of the server) still runs after 0.3 s: "
            "wait for it, or give more time with --lock-wait"
        )
        assert 0.3 <= locked_out.seconds < 5
        assert (done.shard, done.after, done.error) == ("eu", HEAD, None)
        assert revision(blank.shard("na")) is None
    assert [each.error for each in migrate(blank, lock_wait=0)] == [None, None]
    assert drifts(blank) == []


def test_the_lock_itself_names_the_shard(blank: Settings) -> None:
    na = blank.shard("na")
    with (
        locked(na) as pid,
        owner_connection(na) as connection,
        pytest.raises(MigrationLocked) as refused,
        migration_lock(connection, "na", 0),
    ):
        pass
    assert refused.value.values == {"shard": "na", "pid": pid, "seconds": "0"}


def test_the_lock_is_free_after_success_and_failure(blank: Settings) -> None:
    na = blank.shard("na")
    held = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with owner_connection(na) as connection:
        with migration_lock(connection, "na", 0):
            assert rows(na.owner_url, held) == [(1,)]
        assert rows(na.owner_url, held) == [(0,)]
        with pytest.raises(ZeroDivisionError), migration_lock(connection, "na", 0):
            raise ZeroDivisionError
        assert rows(na.owner_url, held) == [(0,)]


def test_locks_of_other_applications_are_not_ours(blank: Settings) -> None:
    na = blank.shard("na")
    with connect(na.owner_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY + 1])
        assert [each.error for each in migrate(blank, shards=["na"], lock_wait=0)] == [None]


def test_the_command_gives_up_after_its_time(blank: Settings, elearning: Elearning) -> None:
    with locked(blank.shard("eu")):
        done = elearning(blank, "migrate", "--shard", "eu", "--lock-wait", "0")
    assert done.code == 1
    assert re.search(r"✗ eu .* still runs after 0 s", done.out)


def test_of_two_migrations_at_once_one_does_the_work(blank: Settings) -> None:
    eu = blank.shard("eu")
    with locked(eu):
        both = [
            subprocess.Popen(
                [*COMMAND, "--shard", "eu"],
                cwd=ROOT,
                env=environment(blank),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        until(lambda: sessions(eu) == WAITS_IDLE * 2)
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    # The first may get the lock before it has told that it waits.
    assert any("another migration runs" in err for _, err in ended)
    told = sorted(out.splitlines()[-1].split(" s  ")[1] for out, _ in ended)
    assert told == [f"{len(REVISIONS)} revision(s) run", "nothing to do"]
    assert drifts(replace(blank, shards=(eu,))) == []
