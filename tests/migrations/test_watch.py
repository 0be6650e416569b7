from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import Migrated, migrate, watch
from elearning.config import Settings
from tests.migrations.support import locked, sessions, until


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "INTERVAL", 0.2)
    monkeypatch.setattr(watch, "CONNECT_TIMEOUT", 2)  # libpq has no shorter one
    monkeypatch.setattr(watch, "TRIES", 2)


def test_a_server_that_hangs_ends_its_migration_and_no_other(
    impatient: None, blank: Settings, cluster: EmbeddedCluster
) -> None:
    na, eu = blank.shards
    node = cluster.node(f"{na.name}-primary")

    def run() -> list[Migrated]:
        return list(migrate(blank, lock_wait=300))

    with locked(na), ThreadPoolExecutor() as pool:
        running = pool.submit(run)
        until(lambda: len(sessions(na)) == 1)
        node.pause()
        try:
            stopped, done = running.result(timeout=60)
        finally:
            node.resume()
    assert "na-primary" in str(stopped.error)
    assert "stopped answering" in str(stopped.error)
    assert (done.shard, done.error) == (eu.name, None)
    # Nothing was lost: it goes on where it stopped.
    assert [result.error for result in migrate(blank)] == [None, None]


def test_a_server_that_only_refuses_is_left_in_peace(
    impatient: None, blank: Settings, cluster: EmbeddedCluster
) -> None:
    na, _ = blank.shards
    wrong = na.owner_url.set(password="not the one")
    assert watch._answers(wrong)
    assert watch._answers(na.owner_url.set(port=1))
