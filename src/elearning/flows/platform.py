"""What the flows run on: all shards and MongoDB, opened once per process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pymongo.monitoring import CommandListener
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from elearning.config import Settings
from elearning.documents import Documents
from elearning.flows.background import Background
from elearning.regions import Region
from elearning.routing import (
    AsyncReadSession,
    AsyncRoutingSession,
    Consistency,
    Engines,
    Token,
)

__all__ = ["Platform"]

P = ParamSpec("P")
T = TypeVar("T")


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
        self.background = Background()
        self._alone = {
            shard: AsyncEngine(
                self.engines.primary(shard).engine.execution_options(isolation_level="AUTOCOMMIT")
            )
            for shard in self.engines.shards
        }

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
        """End what goes on in the background, and close all connections."""
        await self.background.finish()
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

    async def on_primary(
        self,
        shard: str,
        operation: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **options: P.kwargs,
    ) -> T:
        """Run an operation of one statement on a shard's primary: a single round trip.

        Args:
            shard: its name.
            operation: is given the connection; what it does is committed at once.
            *args: of the operation.
            **options: of the operation.

        Raises:
            NodeUnavailable: the primary does not answer.
        """
        async with self._alone[shard].connect() as connection:
            return await connection.run_sync(operation, *args, **options)

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
