"""All shards at once, each on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from weakref import WeakKeyDictionary

from elearning.routing.async_session import AsyncRoutingSession
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.fanout.ask import OnShardError, Planned, Question, Terms, question
from elearning.routing.fanout.merging import Answer, merged
from elearning.routing.fanout.result import FanOutResult
from elearning.routing.session import RoutingSession
from elearning.routing.token import Token

__all__ = [
    "answer",
    "answer_all",
    "answer_all_async",
    "answer_async",
    "fan_out",
    "fan_out_all",
    "fan_out_all_async",
    "fan_out_async",
]


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


def fan_out_all(
    engines: Engines,
    statements: Sequence[tuple[object, str | None]],
    parameters: Mapping[str, Any] | None = None,
    *,
    consistency: Consistency | str = Consistency.SESSION,
    token: Token | str | None = None,
    on_shard_error: OnShardError = "raise",
) -> list[FanOutResult]:
    """Ask several shards several things, at once, and merge the answers to each.

    One session of each shard answers all that it is asked, one after another. A statement is
    planned once, and kept as long as the engines are: make it once, with parameters.

    Args:
        engines: see `fan_out`.
        statements: each with the name of the shard that alone is asked it; None: see `fan_out`.
        parameters: the values of all their parameters.
        consistency: see `fan_out`.
        token: see `fan_out`.
        on_shard_error: see `fan_out`.

    Raises:
        NotMergeable, NodeUnavailable, InvalidText, SettingsError, RoutingError: see `fan_out`.
    """
    terms = Terms(None, consistency, token, on_shard_error)
    return answer_all(_questions(engines, statements, parameters, terms, asynchronous=False))


async def fan_out_all_async(
    engines: Engines,
    statements: Sequence[tuple[object, str | None]],
    parameters: Mapping[str, Any] | None = None,
    *,
    consistency: Consistency | str = Consistency.SESSION,
    token: Token | str | None = None,
    on_shard_error: OnShardError = "raise",
) -> list[FanOutResult]:
    """Do as `fan_out_all` with asynchronous engines."""
    terms = Terms(None, consistency, token, on_shard_error)
    return await answer_all_async(
        _questions(engines, statements, parameters, terms, asynchronous=True)
    )


def _questions(
    engines: Engines,
    statements: Sequence[tuple[object, str | None]],
    parameters: Mapping[str, Any] | None,
    terms: Terms,
    *,
    asynchronous: bool,
) -> list[Question]:
    planned = _PLANNED.setdefault(engines, {})
    return [
        question(
            engines,
            statement,
            parameters,
            terms._replace(shards=None if shard is None else [shard]),
            asynchronous=asynchronous,
            planned=planned,
        )
        for statement, shard in statements
    ]


_PLANNED: WeakKeyDictionary[Engines, Planned] = WeakKeyDictionary()


def answer(asked: Question) -> FanOutResult:
    """Ask all shards at once, each in a thread, the first one in the caller's, and merge."""
    return answer_all([asked])[0]


async def answer_async(asked: Question) -> FanOutResult:
    """Ask all shards, each in a task of its own, and merge."""
    return (await answer_all_async([asked]))[0]


def answer_all(asked: Sequence[Question]) -> list[FanOutResult]:
    """Answer several questions: each shard is asked all of them, one after another.

    One session of a shard serves all, with the terms of the first question.
    """
    first, *others = shards = _shards(asked)
    with ThreadPoolExecutor(len(others) or 1, "fan-out") as threads:
        running = [
            # What is traced by context variables is traced in the threads too.
            threads.submit(copy_context().run, _ask, asked, shard)
            for shard in others
        ]
        own = _ask(asked, first)
    return _merged(asked, shards, [own, *(each.result() for each in running)])


async def answer_all_async(asked: Sequence[Question]) -> list[FanOutResult]:
    """Do as `answer_all`, each shard in a task of its own."""
    shards = _shards(asked)
    # A group ends all of its tasks, and waits for them, before it is left.
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_ask_async(asked, shard)) for shard in shards]
    return _merged(asked, shards, [each.result() for each in running])


def _shards(asked: Sequence[Question]) -> list[str]:
    return list(dict.fromkeys(shard for each in asked for shard in each.statements))


def _merged(
    asked: Sequence[Question], shards: Sequence[str], answers: Sequence[Sequence[Answer]]
) -> list[FanOutResult]:
    by_shard = dict(zip(shards, answers, strict=True))
    return [
        merged(each, [by_shard[shard][number] for shard in each.statements])
        for number, each in enumerate(asked)
    ]


def _ask(asked: Sequence[Question], shard: str) -> list[Answer]:
    try:
        with RoutingSession(**asked[0].session) as session:
            return _answers(session, asked, shard)
    except Exception as error:  # noqa: BLE001 - told when all have ended
        return [Answer(shard, error=error)] * len(asked)


async def _ask_async(asked: Sequence[Question], shard: str) -> list[Answer]:
    try:
        async with AsyncRoutingSession(**asked[0].session) as session:
            return await session.run_sync(lambda _: _answers(session.sync_session, asked, shard))
    except Exception as error:  # noqa: BLE001 - told when all have ended
        return [Answer(shard, error=error)] * len(asked)


def _answers(session: RoutingSession, asked: Sequence[Question], shard: str) -> list[Answer]:
    answers = []
    for each in asked:
        statement = each.statements.get(shard)
        if statement is None:
            # The question is not for this shard.
            answers.append(Answer(shard))
            continue
        found = session.answer(statement, dict(each.parameters), execution_options={"shard": shard})
        answers.append(Answer(shard, *found))
    return answers
