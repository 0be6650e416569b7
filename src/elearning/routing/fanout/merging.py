"""The shards' answers as one result."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple

from elearning.errors import NodeUnavailable, PoolExhausted
from elearning.routing.fanout.ask import Question
from elearning.routing.fanout.result import FanOutResult

__all__ = ["Answer", "merged"]


class Answer(NamedTuple):
    """What a shard said: the names of its columns and its rows, or an error."""

    shard: str
    names: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    error: Exception | None = None


def merged(asked: Question, answers: Sequence[Answer]) -> FanOutResult:
    """Put the shards' answers together.

    Raises:
        Exception: what a shard raised, with the shard in its notes. Where partial results
            are wanted, only if no shard answered, or for more than not answering.
    """
    told = [answer for answer in answers if answer.error is None]
    failed = {answer.shard: answer.error for answer in answers if answer.error is not None}
    absent = {
        shard: error
        for shard, error in failed.items()
        if isinstance(error, NodeUnavailable | PoolExhausted)
    }
    if failed and not (asked.partial and told and len(absent) == len(failed)):
        raise _noted(failed, absent)
    names, hidden = told[0].names, asked.plan.hidden
    return FanOutResult(
        names[: len(names) - hidden],
        asked.plan.expressions,
        asked.plan.merge([row for answer in told for row in answer.rows]),
        shards=tuple(answer.shard for answer in told),
        errors=absent,
    )


def _noted(failed: Mapping[str, Exception], absent: Container[str]) -> Exception:
    """Return the error to raise: a mistake in the statement before a shard that is away."""
    shard, error = min(failed.items(), key=lambda item: item[0] in absent)
    error.add_note(f"So answered shard {shard}.")
    for other, also in failed.items():
        if other != shard:
            error.add_note(f"Shard {other} failed too: {type(also).__name__}: {also}")
    return error
