"""What the flows run on: all shards and MongoDB, opened once per process."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pymongo.monitoring import CommandListener

from elearning.config import Settings
from elearning.documents import Documents
from elearning.regions import Region
from elearning.routing import (
    AsyncReadSession,
    AsyncRoutingSession,
    Consistency,
    Engines,
    Token,
)

__all__ = ["Platform"]


class Platform:
    """The databases of the platform.

    ::

        async with Platform(Settings.load()) as platform:
            user_id = await register(platform, NewUser(...))

    Args:
        settings: where the databases are.
        listeners: are told of every command that MongoDB is sent.
        **engine_options: those of `Engines` (pool_size, pool_timeout, …).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        listeners: Sequence[CommandListener] = (),
        **engine_options: Any,
    ) -> None:
        self.settings = settings
        self.engines = Engines(settings, asynchronous=True, **engine_options)
        self.documents = Documents(settings.mongodb, listeners=listeners)

    async def open(self) -> None:
        """Look at the schemas of all shards, and bind the documents to MongoDB.

        A shard that does not answer is passed over, and looked at when it does.

        Raises:
            NodeUnavailable: MongoDB does not answer.
            SchemaMismatch: a shard is at an older revision than this release needs.
        """
        await self.engines.check_schemas()
        await self.documents.open()

    async def close(self) -> None:
        """Close all connections."""
        await self.engines.close_async()
        await self.documents.close()

    def session(
        self,
        region: Region | str | None = None,
        *,
        consistency: Consistency | str = Consistency.SESSION,
        token: Token | str | None = None,
    ) -> AsyncRoutingSession:
        """Return a session for a region; see `RoutingSession`."""
        return AsyncRoutingSession(
            engines=self.engines,
            region=region,
            consistency=consistency,
            token=token,
            # An attribute of a committed row must not start I/O by itself.
            expire_on_commit=False,
        )

    def read_session(
        self,
        region: Region | str | None = None,
        *,
        consistency: Consistency | str = Consistency.SESSION,
        token: Token | str | None = None,
    ) -> AsyncReadSession:
        """Return a session for a region that cannot write."""
        return AsyncReadSession(
            engines=self.engines, region=region, consistency=consistency, token=token
        )

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
