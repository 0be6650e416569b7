"""One engine with its pool per node, and which node is what."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from elearning.config import Settings, address_of
from elearning.errors import NodeUnavailable, SettingsError
from elearning.regions import Region
from elearning.routing.failures import failure_handler
from elearning.routing.schema import schema_checker
from elearning.routing.token import Position

__all__ = ["Engines", "Node", "Role"]

logger = logging.getLogger("elearning.routing")


class Role(StrEnum):
    """What a node is for."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(eq=False, slots=True)
class Node:
    """One PostgreSQL server of a shard, as this process reaches it.

    ``engine`` runs transactions. ``reader`` runs every statement by itself (a
    replica's default: no BEGIN and ROLLBACK round trips) from the same pool.
    """

    name: str
    shard: str
    role: Role
    engine: Engine
    reader: Engine
    replayed: Position | None = None
    """The farthest position that a replica was seen to have replayed."""
    left_out_until: float = 0.0
    """On the clock of ``time.monotonic``: a replica that failed rests until then."""

    @property
    def address(self) -> str:
        """Host and port, without user and password."""
        return address_of(self.engine.url)


class Engines:
    """The nodes of all shards.

    Each node has a pool of its own: ``pool_size`` connections at most, waited
    for ``pool_timeout`` seconds (the seed: 1 to 10 connections, 30 s). Nothing
    is connected before the first use, or `open`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        asynchronous: bool = False,
        pool_size: int = 10,
        pool_timeout: float = 30.0,
        connect_timeout: int = 3,
    ) -> None:
        self.settings = settings
        self.asynchronous = asynchronous
        self._pool = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": pool_timeout}
        self._connect_timeout = connect_timeout
        self._primaries = {
            shard.name: self._node(f"{shard.name}-primary", shard.name, Role.PRIMARY, shard.primary)
            for shard in settings.shards
        }
        self._replicas = {
            shard.name: tuple(
                self._node(f"{shard.name}-replica-{number}", shard.name, Role.REPLICA, url)
                for number, url in enumerate(shard.replicas, start=1)
            )
            for shard in settings.shards
        }
        self._homes = {region: shard.name for shard in settings.shards for region in shard.regions}
        self._by_engine = {
            engine: node for node in self.nodes for engine in (node.engine, node.reader)
        }

    @property
    def shards(self) -> tuple[str, ...]:
        """The names of all shards."""
        return tuple(self._primaries)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, each shard's primary before its replicas."""
        return tuple(
            node
            for shard, primary in self._primaries.items()
            for node in (primary, *self._replicas[shard])
        )

    def primary(self, shard: str) -> Node:
        """Return a shard's primary.

        Raises:
            SettingsError: no shard has this name.
        """
        try:
            return self._primaries[shard]
        except KeyError:
            known = ", ".join(self._primaries)
            raise SettingsError(
                variable="ELEARNING_SHARDS", problem=f"has no shard {shard!r}, only {known}"
            ) from None

    def replicas(self, shard: str) -> tuple[Node, ...]:
        """Return a shard's replicas; empty where none is configured."""
        self.primary(shard)
        return self._replicas[shard]

    def home(self, region: Region | str) -> str:
        """Return the name of the shard that hosts a region.

        Raises:
            UnknownRegion: no region has this name.
        """
        return self._homes[Region.parse(region)]

    def node_of(self, engine: Engine) -> Node | None:
        """Return the node that an engine belongs to, or None for a strange engine."""
        return self._by_engine.get(engine)

    def open(self) -> None:
        """Open one connection to every node; only for synchronous engines.

        Raises:
            NodeUnavailable: a node does not answer.
            SchemaMismatch: a shard is at an older revision than this release needs.
        """
        for node in self.nodes:
            node.engine.connect().close()

    async def open_async(self) -> None:
        """Open one connection to every node.

        Raises:
            NodeUnavailable: a node does not answer.
            SchemaMismatch: a shard is at an older revision than this release needs.
        """
        for node in self.nodes:
            await self._connect(node)

    async def check_schemas(self) -> None:
        """Connect to all primaries at once; one that does not answer is passed over.

        Raises:
            SchemaMismatch: a shard is at an older revision than this release needs.
        """
        answers = await asyncio.gather(
            *(self._connect(node) for node in self._primaries.values()), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, NodeUnavailable):
                logger.warning("its schema is looked at when it answers: %s", answer)
            elif isinstance(answer, BaseException):
                raise answer

    async def _connect(self, node: Node) -> None:
        async with AsyncEngine(node.engine).connect():
            pass

    def close(self) -> None:
        """Close all pooled connections; only for synchronous engines."""
        for node in self.nodes:
            node.engine.dispose()

    async def close_async(self) -> None:
        """Close all pooled connections."""
        for node in self.nodes:
            await AsyncEngine(node.engine).dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _node(self, name: str, shard: str, role: Role, url: URL) -> Node:
        arguments = {
            "connect_timeout": self._connect_timeout,
            "application_name": "elearning",
        }
        options = self._pool | {
            "connect_args": arguments,
            "pool_pre_ping": True,
            # They may hold a password's hash, and tracebacks end in logs.
            "hide_parameters": True,
        }
        engine = (
            create_async_engine(url, **options).sync_engine
            if self.asynchronous
            else create_engine(url, **options)
        )
        node = Node(
            name, shard, role, engine, engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        if role is Role.PRIMARY:
            event.listen(engine, "connect", schema_checker(shard))
        event.listen(
            engine, "handle_error", failure_handler(name, node.address, url.username or "?")
        )
        return node
