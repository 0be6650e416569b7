from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from elearning.cluster.embedded.processes import command_line, process_table, wait_gone
from elearning.cluster.migrations import migrate
from elearning.config import Settings
from elearning.models import HEAD, REVISIONS
from tests.campaigns.conftest import FULL
from tests.migrations.support import (
    ROOT,
    WAIT_SECONDS,
    Known,
    catalog,
    drifts,
    environment,
    locked,
    revision,
    schema,
    sessions,
    until,
)

pytestmark = pytest.mark.unmeasured

ALL = len(REVISIONS)

# Kills itself on the second shard: at the statement that records a revision, which is the last
# before COMMIT, or at the first one after COMMIT.
CHILD = """
import os, signal, sys
from sqlalchemy import Engine, event
from elearning.cluster.migrations import migrate
from elearning.config import Settings

settings = Settings.load()
second = settings.shards[1].owner_url
moment, word = sys.argv[1:]
recorded = False

@event.listens_for(Engine, "before_cursor_execute")
def kill(connection, cursor, statement, *_):
    global recorded
    if connection.engine.url != second:
        return
    if recorded:
        os.kill(os.getpid(), signal.SIGKILL)
    if word in statement and statement.startswith(("INSERT INTO", "UPDATE", "DO")):
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        recorded = True

list(migrate(settings))
"""
PARENT = """
from elearning.cluster.migrations import migrate
from elearning.config import Settings

list(migrate(Settings.load(), jobs=2))
"""


def killed(settings: Settings, moment: str, word: str) -> None:
    """Migrate in a process that kills itself."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, moment, word],
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    # The server undoes what was open when it finds the connection closed.
    until(lambda: not sessions(settings.shards[1]))


MOMENTS = [(moment, number) for number in range(ALL) for moment in ("before", "after")]
# Each revision once, before and after its COMMIT in turns; `make chaos` runs all.
CHOSEN = MOMENTS if FULL else [MOMENTS[2 * number + number % 2] for number in range(ALL)]


@pytest.mark.parametrize(
    ("moment", "number"), CHOSEN, ids=[f"{moment}-{REVISIONS[number]}" for moment, number in CHOSEN]
)
def test_killed_before_and_after_each_commit(
    blank: Settings, known: Known, moment: str, number: int
) -> None:
    na, eu = blank.shards
    killed(blank, moment, f"'{REVISIONS[number]}'")
    there = number + (moment == "after")
    reached = REVISIONS[there - 1] if there else None
    assert (revision(na), revision(eu)) == (HEAD, reached)
    assert schema(eu) == known[reached or "base"]
    first, second = migrate(blank, lock_wait=5)
    assert (first.applied, first.error) == (0, None)
    assert (second.before, second.after, second.applied) == (reached, HEAD, ALL - there)
    assert second.error is None
    assert drifts(blank) == []


def test_killed_while_rights_are_granted(blank: Settings) -> None:
    na, eu = blank.shards
    killed(blank, "after", "elearning_app")
    assert revision(eu) == HEAD
    assert "grant on table users to elearning_app" in catalog(na)
    assert "grant on table users to elearning_app" not in catalog(eu)
    assert drifts(blank) != []
    assert [(each.applied, each.error) for each in migrate(blank)] == [(0, None), (0, None)]
    assert drifts(blank) == []


def test_workers_end_when_their_parent_is_killed(blank: Settings) -> None:
    with ExitStack() as stack:
        for shard in blank.shards:
            stack.enter_context(locked(shard))
        parent = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", PARENT],
                cwd=ROOT,
                env=environment(blank),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        until(lambda: all(sessions(shard) for shard in blank.shards))
        children = [each.pid for each in process_table() if each.parent == parent.pid]
        assert sum("spawn_main" in command_line(pid) for pid in children) == 2
        parent.kill()
        # The locks are still held, so that no worker has come to its end by itself.
        assert wait_gone(children, WAIT_SECONDS)
        # Nor is there any other process that has inherited these pipes.
        parent.communicate(timeout=WAIT_SECONDS)
    assert [revision(shard) for shard in blank.shards] == [None, None]
    assert [(each.after, each.error) for each in migrate(blank, lock_wait=5)] == [(HEAD, None)] * 2
    assert drifts(blank) == []
