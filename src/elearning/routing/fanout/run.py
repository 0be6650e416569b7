"""All shards at once, each on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from elearning.routing.async_session import AsyncRoutingSession
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.fanout.ask import OnShardError, Question, Terms, question
from elearning.routing.fanout.merging import Answer, merged
from elearning.routing.fanout.result import FanOutResult
from elearning.routing.session import RoutingSession
from elearning.routing.token import Token

__all__ = ["answer", "answer_async", "fan_out", "fan_out_async"]


def fan_out(
    engines: Engines,
    statement: object,
    parameters: Mapping[str, Any] | None = None,
    *,
    shards: Sequence[str] | None = None,
    consistency: Consistency | str = Consistency.SESSION,
    token: Token | str | None = None,
    on_shard_error: OnShardError = "raise",
) -> FanOutResult:
    """Ask several shards the same, at once, and merge their answers to one.

    ::

        newest = fan_out(engines, select(User).order_by(User.created_at.desc()).limit(20))

    The result is what one database with all rows would answer; what cannot be merged so
    is refused before anything is sent. docs/fanout.md tells what that is.

    Args:
        engines: synchronous engines of all shards.
        statement: a SELECT. With one shard, by name or by the ids in it, nothing is merged
            and little refused.
        parameters: the values of its parameters.
        shards: names of shards; default: all.
        consistency: what must be seen, as in a `RoutingSession`.
        token: what was written before; it is only read.
        on_shard_error: "raise" raises what a shard raised, when all have ended; "partial"
            leaves out shards that do not answer, and the result says so.

    Raises:
        NotMergeable: the shards' answers would not tell what one database would answer.
        NodeUnavailable: a shard does not answer; with "partial": none does.
        InvalidText: an argument is wrong.
        SettingsError: no shard has such a name.
        RoutingError: the engines are asynchronous.
    """
    terms = Terms(shards, consistency, token, on_shard_error)
    return answer(question(engines, statement, parameters, terms, asynchronous=False))


async def fan_out_async(
    engines: Engines,
    statement: object,
    parameters: Mapping[str, Any] | None = None,
    *,
    shards: Sequence[str] | None = None,
    consistency: Consistency | str = Consistency.SESSION,
    token: Token | str | None = None,
    on_shard_error: OnShardError = "raise",
) -> FanOutResult:
    """Do as `fan_out` with asynchronous engines; cancelling it ends all shards' statements."""
    terms = Terms(shards, consistency, token, on_shard_error)
    return await answer_async(question(engines, statement, parameters, terms, asynchronous=True))


def answer(asked: Question) -> FanOutResult:
    """Ask all shards, each in a thread of its own, and merge."""
    with ThreadPoolExecutor(len(asked.statements), "fan-out") as threads:
        running = [
            # What is traced by context variables is traced in the threads too.
            threads.submit(copy_context().run, _ask, asked, shard)
            for shard in asked.statements
        ]
    return merged(asked, [each.result() for each in running])


async def answer_async(asked: Question) -> FanOutResult:
    """Ask all shards, each in a task of its own, and merge."""
    # A group ends all of its tasks, and waits for them, before it is left.
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_ask_async(asked, shard)) for shard in asked.statements]
    return merged(asked, [each.result() for each in running])


def _ask(asked: Question, shard: str) -> Answer:
    try:
        with RoutingSession(**asked.session) as session:
            result = session.execute(
                asked.statements[shard],
                dict(asked.parameters),
                execution_options={"shard": shard},
            )
            return Answer(shard, tuple(result.keys()), result.all())
    except Exception as error:  # noqa: BLE001 - told when all have ended
        return Answer(shard, error=error)


async def _ask_async(asked: Question, shard: str) -> Answer:
    try:
        async with AsyncRoutingSession(**asked.session) as session:
            result = await session.execute(
                asked.statements[shard],
                dict(asked.parameters),
                execution_options={"shard": shard},
            )
            return Answer(shard, tuple(result.keys()), result.all())
    except Exception as error:  # noqa: BLE001 - told when all have ended
        return Answer(shard, error=error)
