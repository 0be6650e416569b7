"""Figures: what they are made of is one thing, how the shards are asked another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Row, Select

from elearning.errors import ElearningError
from elearning.ids import region_of
from elearning.routing import (
    Consistency,
    Engines,
    FanOutResult,
    OnShardError,
    Token,
    fan_out_all,
    fan_out_all_async,
)

__all__ = ["Figures", "Part", "Read", "Rows"]

T = TypeVar("T")

Rows = Sequence[Row[*tuple[Any, ...]]]
Missing = Mapping[str, ElearningError]
Read = Callable[[Sequence[Rows], Missing], T]
"""Makes figures of the rows of each part, and of why shards are not in them."""


class Part(NamedTuple):
    """A statement that figures are made of: made once, for it is planned once."""

    statement: Select[*tuple[Any, ...]]
    home: UUID | None = None
    """An id whose shard alone is asked; None: all shards are."""


@dataclass(frozen=True, slots=True)
class Figures(Generic[T]):
    """Figures of the whole world.

    ::

        found = platform_statistics().everywhere(engines)
        found = await instructor_statistics(user_id).everywhere_async(platform.engines)

    Attributes:
        parts: the statements; each shard answers those that are for it, one after another.
        read: makes the figures of the answers.
        values: of the statements' parameters.
    """

    parts: Sequence[Part]
    read: Read[T]
    values: Mapping[str, Any] = field(default_factory=dict)

    def everywhere(
        self,
        engines: Engines,
        *,
        consistency: Consistency | str = Consistency.SESSION,
        token: Token | str | None = None,
        on_shard_error: OnShardError = "raise",
    ) -> T:
        """Return the figures, from a replica of each shard.

        Args:
            engines: of all shards.
            consistency: see `fan_out`.
            token: see `fan_out`; what was written with it is counted.
            on_shard_error: "partial" leaves out shards that do not answer, and `missing` of
                what is returned tells which and why.

        Raises:
            NodeUnavailable: a shard does not answer; with "partial": none does, or not the
                home of what is asked for.
            NotFound: what is asked for is not there.
        """
        return self._read(
            fan_out_all(
                engines,
                self._asked(engines),
                self.values,
                consistency=consistency,
                token=token,
                on_shard_error=on_shard_error,
            )
        )

    async def everywhere_async(
        self,
        engines: Engines,
        *,
        consistency: Consistency | str = Consistency.SESSION,
        token: Token | str | None = None,
        on_shard_error: OnShardError = "raise",
    ) -> T:
        """Do as `everywhere` with asynchronous engines."""
        return self._read(
            await fan_out_all_async(
                engines,
                self._asked(engines),
                self.values,
                consistency=consistency,
                token=token,
                on_shard_error=on_shard_error,
            )
        )

    def _asked(self, engines: Engines) -> list[tuple[object, str | None]]:
        return [
            (statement, None if home is None else engines.home(region_of(home)))
            for statement, home in self.parts
        ]

    def _read(self, answers: Sequence[FanOutResult]) -> T:
        missing = {shard: error for each in answers for shard, error in each.errors.items()}
        return self.read([each.all() for each in answers], missing)
