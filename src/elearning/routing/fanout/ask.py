"""A question to several shards: checked and planned before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import CompoundSelect, Select

from elearning.errors import InvalidText, RoutingError
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.fanout.plan import (
    Plan,
    as_it_is,
    located,
    plain,
    plan_for_one,
    plan_of,
    restrict,
    statement_of,
)
from elearning.routing.fanout.pruning import homes_of
from elearning.routing.token import Token

__all__ = ["OnShardError", "Planned", "Question", "Terms", "question"]

OnShardError: TypeAlias = Literal["raise", "partial"]


class Terms(NamedTuple):
    """How shards are asked; `fan_out` tells what each means."""

    shards: Sequence[str] | None = None
    consistency: Consistency | str = Consistency.SESSION
    token: Token | str | None = None
    on_shard_error: OnShardError = "raise"


Statements: TypeAlias = Mapping[str, Select[Any] | CompoundSelect[Any]]
"""By shard."""
Planned: TypeAlias = dict[tuple[object, tuple[str, ...]], tuple[Plan, Statements]]
"""Plans of statements, by them and the shards that are asked."""


class Question(NamedTuple):
    """What each shard is asked."""

    plan: Plan
    statements: Statements
    parameters: Mapping[str, Any]
    session: Mapping[str, Any]
    """The arguments for the session of each shard."""
    partial: bool
    """Whether shards that do not answer are left out."""


def question(
    engines: Engines,
    statement: object,
    parameters: Mapping[str, Any] | None,
    terms: Terms,
    *,
    asynchronous: bool,
    planned: Planned | None = None,
) -> Question:
    """Check what a fan-out is given, and plan it.

    Args:
        engines: the nodes of all shards.
        statement: a SELECT.
        parameters: the values of its parameters.
        terms: how shards are asked.
        asynchronous: whether the caller is.
        planned: keeps the plan of this very statement for the next time.

    Raises:
        NotMergeable: the shards' answers would not tell what one database would answer.
        InvalidText: an argument is wrong.
        SettingsError: no shard has such a name.
        RoutingError: the engines are of the other kind.
    """
    if engines.asynchronous is not asynchronous:
        message = (
            "these engines are asynchronous: use the function that ends in _async"
            if engines.asynchronous
            else "these engines are synchronous: use the function that does not end in _async"
        )
        raise RoutingError(message)
    if terms.on_shard_error not in ("raise", "partial"):
        raise InvalidText(
            field="on_shard_error", problem=f"{terms.on_shard_error!r} is none of raise, partial"
        )
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidText(field="parameters", problem="a SELECT takes one mapping of values")
    session = {
        "engines": engines,
        "consistency": Consistency.parse(terms.consistency),
        "token": Token.of(terms.token),
    }
    shards = _named(engines, terms.shards)
    values = parameters or {}
    key = (statement, tuple(shards))
    known = None if planned is None else planned.get(key)
    if known is None:
        plan, asked = _planned(engines, statement_of(statement), values, shards)
        known = plan, _by_shard(engines, plan, asked)
        # Where ids in the values have left shards out, others would leave out others.
        if planned is not None and asked == shards:
            planned[key] = known
    plan, statements = known
    return Question(plan, statements, values, session, terms.on_shard_error == "partial")


def _by_shard(engines: Engines, plan: Plan, shards: Sequence[str]) -> Statements:
    return {
        shard: restrict(plan, [region.code for region in engines.settings.shard(shard).regions])
        for shard in shards
    }


def _named(engines: Engines, shards: Sequence[str] | None) -> list[str]:
    if shards is None:
        return list(engines.shards)
    if isinstance(shards, str):
        raise InvalidText(field="shards", problem=f"pass a list of names, [{shards!r}]")
    names = [engines.primary(name).shard for name in dict.fromkeys(shards)]
    if not names:
        raise InvalidText(field="shards", problem="names no shard; leave it out to ask all")
    return names


def _planned(
    engines: Engines,
    statement: Select[Any] | CompoundSelect[Any],
    parameters: Mapping[str, Any],
    shards: list[str],
) -> tuple[Plan, list[str]]:
    """Return the plan, and the shards that can have rows of the result."""
    if len(engines.shards) == 1:
        return plain(statement), shards
    if len(shards) == 1:
        return as_it_is(statement), shards
    select, locality = located(statement, parameters)
    homes = homes_of(engines, locality, parameters)
    if homes is not None:
        # No row has these ids; some shard must say so.
        shards = [shard for shard in shards if shard in homes] or shards[:1]
    if len(shards) == 1:
        return plan_for_one(select, locality), shards
    return plan_of(select, locality, parameters), shards
