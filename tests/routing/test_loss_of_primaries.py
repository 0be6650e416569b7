"""A primary is gone: one clear error, in time, and everything else goes on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, text, update

from elearning.config import Limits, Settings
from elearning.errors import NodeUnavailable
from elearning.flows import Platform
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from elearning.routing.token import UNKNOWN
from elearning.testing.proxies import Proxies
from elearning.testing.switches import Switches
from tests.routing.loss import (
    QUICK,
    new_user,
    read,
    taking_at_most,
    wait_until,
    with_limits,
    write,
)

pytestmark = pytest.mark.usefixtures("empty_databases")


@pytest.mark.parametrize("has_connection", [True, False], ids=["pooled", "new"])
@pytest.mark.parametrize(
    ("lose", "mend", "seconds"), [("kill", "restart", 0.5), ("silence", "speak", 3)]
)
def test_a_primary_that_is_gone(
    settings: Settings,
    engines: Engines,
    switches: Switches,
    lose: str,
    mend: str,
    seconds: float,
    *,
    has_connection: bool,
) -> None:
    here, there = new_user(engines, "europe"), new_user(engines, "asia")
    with Engines(settings) as lost:
        if has_connection:
            write(lost, here)
        getattr(switches, lose)("eu-primary")
        for limit in (seconds, *[0.1] * 20):
            with taking_at_most(limit), pytest.raises(NodeUnavailable, match="eu-primary at 127"):
                write(lost, here)
        assert read(lost, here)
        write(lost, there, "Goes on")
        assert read(lost, there)
        getattr(switches, mend)("eu-primary")
        assert wait_until(lambda: lost.primary("eu").problem is None, 10)
        write(lost, here, "Back")


async def test_the_same_for_asyncio(
    settings: Settings, engines: Engines, switches: Switches
) -> None:
    here = new_user(engines, "europe")
    change = update(User).where(User.id == here).values(first_name="New")
    async with Platform(settings) as lost:
        for silent in (False, True):
            async with lost.session("europe") as session:
                await session.execute(change)
                await session.commit()
            if silent:
                switches.silence("eu-primary")
            else:
                switches.kill("eu-primary")
            for seconds in (3 if silent else 0.5, 0.1):
                async with lost.session("europe") as session:
                    with taking_at_most(seconds), pytest.raises(NodeUnavailable, match="eu-pri"):
                        await session.execute(change)
            async with lost.read_session("europe") as session:
                assert await session.get(User, here)
            if silent:
                switches.speak("eu-primary")
            else:
                switches.restart("eu-primary")
            assert wait_until(lambda: lost.engines.primary("eu").problem is None, 10)


def test_forty_writers_on_a_silent_primary(
    settings: Settings, engines: Engines, switches: Switches
) -> None:
    # Those who wait for a place in the pool must not try to connect one after the other.
    here = new_user(engines, "europe")
    with Engines(settings, pool_size=4) as lost, ThreadPoolExecutor(40) as threads:
        write(lost, here)
        switches.silence("eu-primary")
        with taking_at_most(3.5):
            errors = [
                each.exception() for each in [threads.submit(write, lost, here) for _ in range(40)]
            ]
        assert {type(error) for error in errors} == {NodeUnavailable}


def test_who_waits_for_a_place_on_a_silent_primary(
    settings: Settings, engines: Engines, switches: Switches
) -> None:
    # Idle sessions hold all of them, so nobody's statement tells that it is silent.
    here = new_user(engines, "europe")
    with (
        Engines(settings, pool_size=1) as lost,
        RoutingSession(engines=lost, region="europe") as holder,
    ):
        holder.connection()
        switches.silence("eu-primary")
        with taking_at_most(3.5), pytest.raises(NodeUnavailable, match="eu-primary"):
            write(lost, here)


def test_a_restarted_primary_costs_no_error(
    settings: Settings, engines: Engines, switches: Switches
) -> None:
    here = new_user(engines, "europe")
    with Engines(settings) as lost:
        for stop in (switches.stop, switches.kill):
            write(lost, here)
            stop("eu-primary")
            switches.restart("eu-primary")
            write(lost, here)


def test_a_primary_that_refused_is_used_as_soon_as_it_is_back(
    settings: Settings, engines: Engines, switches: Switches
) -> None:
    here = new_user(engines, "europe")
    # Nobody looks meanwhile.
    with Engines(with_limits(settings, Limits(check_interval=100))) as lost:
        write(lost, here)
        switches.kill("eu-primary")
        with pytest.raises(NodeUnavailable):
            write(lost, here)
        assert lost.primary("eu").problem is not None
        switches.restart("eu-primary")
        write(lost, here)
        assert lost.primary("eu").problem is None


def test_a_statement_that_takes_long_is_not_silence(settings: Settings) -> None:
    with (
        Engines(with_limits(settings)) as engines,
        RoutingSession(engines=engines, region="europe") as session,
    ):
        session.execute(text("SELECT pg_sleep(2)"))
        assert engines.primary("eu").problem is None


def test_the_answer_to_a_commit_is_lost(engines: Engines, proxies: Proxies) -> None:
    here = new_user(engines, "europe")
    with (
        Engines(with_limits(proxies.settings)) as lost,
        RoutingSession(engines=lost, region="europe") as session,
    ):
        session.execute(update(User).where(User.id == here).values(first_name="Perhaps"))
        proxies["eu-primary"].silence()
        with taking_at_most(3), pytest.raises(NodeUnavailable, match="eu-primary"):
            session.commit()
        session.rollback()
        # It may stand, so only the primary tells.
        assert session.token == {"eu": UNKNOWN}
        proxies["eu-primary"].speak()


def test_a_primary_that_is_a_replica(settings: Settings) -> None:
    eu = settings.shard("eu")
    wrong = replace(
        settings,
        limits=QUICK,
        shards=tuple(
            replace(each, primary=eu.primary.set(port=eu.replicas[0].port)) if each is eu else each
            for each in settings.shards
        ),
    )
    with Engines(wrong) as engines, RoutingSession(engines=engines, region="europe") as session:
        with pytest.raises(NodeUnavailable, match="is a replica, expected a primary"):
            session.execute(text("SELECT 1"))
        assert engines.primary("eu").problem is not None
        session.rollback()
        # Its replica is one, and is read.
        assert session.scalars(select(User.id)).all() == []
