"""`RoutingSession` for asyncio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import EMPTY_DICT

from elearning.regions import Region
from elearning.routing.session import RoutingSession
from elearning.routing.token import Token

__all__ = ["AsyncRoutingSession"]


class AsyncRoutingSession(AsyncSession):
    """An `AsyncSession` over all shards; see `RoutingSession` for the arguments.

    The routing is that of `sync_session`. Its events are registered on `RoutingSession`.
    """

    sync_session_class = RoutingSession
    sync_session: RoutingSession

    @property
    def region(self) -> Region | None:
        """Where statements go that name no region by themselves."""
        return self.sync_session.region

    @property
    def token(self) -> Token:
        """What was written, and reads must see."""
        return self.sync_session.token

    async def rows(
        self,
        statement: Select[*tuple[Any, ...]],
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Sequence[Sequence[Any]]:
        """Return all rows of a statement, without names; see `RoutingSession.rows`."""
        read = partial(self.sync_session.rows, execution_options=execution_options)
        return await self.run_sync(lambda _: read(statement, params))

    def explain_route(
        self,
        statement: Any,
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> str:
        """Return where a statement would go, and why; see `RoutingSession.explain_route`."""
        return self.sync_session.explain_route(
            statement, params, execution_options=execution_options
        )
