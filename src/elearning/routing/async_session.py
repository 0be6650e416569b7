"""`RoutingSession` for asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
