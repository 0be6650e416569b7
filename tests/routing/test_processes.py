"""No connection crosses a fork, and a process that ends takes leave of the servers."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.errors import NodeUnavailable
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from tests.routing.loss import new_user, read, wait_until, with_limits, write

pytestmark = pytest.mark.usefixtures("empty_databases")

FORK = multiprocessing.get_context("fork")
BACKEND = text("SELECT pg_backend_pid()")


def in_a_fork(run: Callable[[], object]) -> object:
    """Return what a function returns in a forked process."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=_answer, args=(run, theirs))
    process.start()
    try:
        assert ours.poll(30), "no answer of the forked process"
        answer = ours.recv()
    finally:
        process.join(10)
        process.kill()
    assert process.exitcode == 0
    return answer


def _answer(run: Callable[[], object], pipe: Pipe) -> None:
    try:
        pipe.send(run())
    except BaseException as error:  # noqa: BLE001 - the parent is told what it was
        pipe.send(repr(error))


def backend(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(BACKEND) or 0)


def test_a_forked_process_has_connections_of_its_own(settings: Settings) -> None:
    with Engines(with_limits(settings)) as engines:
        user_id = new_user(engines)
        ours = {node.name: backend(node.engine) for node in engines.nodes}

        def run() -> object:
            theirs = {node.name: backend(node.engine) for node in engines.nodes}
            write(engines, user_id, "Child")
            return theirs, read(engines, user_id, "primary"), engines.primary("eu").problem

        for _ in range(3):
            answer: Any = in_a_fork(run)
            theirs, name, problem = answer
            assert not set(ours.values()) & set(theirs.values())
            assert (name, problem) == ("Child", None)
            # Ours are what they were.
            assert {node.name: backend(node.engine) for node in engines.nodes} == ours


def test_a_session_that_is_open_across_a_fork(settings: Settings) -> None:
    with Engines(settings) as engines:
        user_id = new_user(engines)
        with RoutingSession(engines=engines, region="europe") as session:
            user = session.get_one(User, user_id)
            user.first_name = "Parent"
            session.flush()
            backend_before = session.scalar(BACKEND)

            def use() -> object:
                with pytest.raises(NodeUnavailable):
                    session.scalar(BACKEND)
                session.rollback()
                theirs = session.scalar(BACKEND)
                session.close()
                return theirs

            assert in_a_fork(use) not in (backend_before, None)
            # Neither the child's ROLLBACK nor its end has reached our transaction.
            assert session.scalar(BACKEND) == backend_before
            session.commit()
        assert read(engines, user_id, "primary") == "Parent"


def test_a_forked_process_watches_for_itself(settings: Settings) -> None:
    with Engines(with_limits(settings)) as engines:
        new_user(engines)
        assert wait_until(lambda: engines.replicas("eu")[0].replayed is not None, 10)

        def run() -> object:
            engines.replicas("eu")[0].replayed = None
            backend(engines.primary("eu").engine)
            return wait_until(lambda: engines.replicas("eu")[0].replayed is not None, 10)

        assert in_a_fork(run) is True


SCRIPT = """
import asyncio, sys
from sqlalchemy import select, text
from elearning.config import Settings
from elearning.models import User
from elearning.routing import AsyncRoutingSession, Engines, RoutingSession

engines = Engines(Settings.load(sys.argv[1]), asynchronous=sys.argv[2] == "async")
if sys.argv[2] == "async":
    async def run():
        session = AsyncRoutingSession(engines=engines, region="europe")
        await session.scalars(select(User))
        return session, await session.scalar(text("SELECT pg_backend_pid()"))
    session, pid = asyncio.run(run())
else:
    session = RoutingSession(engines=engines, region="europe")
    session.scalars(select(User))
    pid = session.scalar(text("SELECT pg_backend_pid()"))
print(pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_process_that_ends_without_closing_anything(
    cluster: EmbeddedCluster, engines: Engines, kind: str
) -> None:
    log = cluster_log(cluster, "eu-primary")
    before = log.read_text().count("unexpected EOF")
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(cluster.folder.parent), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ELEARNING_CLUSTER_DIR": str(cluster.folder)},
    )
    with process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        out, error = process.communicate("\n", timeout=20)
    assert (process.returncode, out, error) == (0, "", "")
    with RoutingSession(engines=engines, region="europe") as session:
        gone = text(f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})")
        assert wait_until(lambda: session.scalar(gone) is True, 10)
    assert log.read_text().count("unexpected EOF") == before


def cluster_log(cluster: EmbeddedCluster, name: str) -> Path:
    (found,) = cluster.folder.rglob(f"{name}/server.log")
    return found
