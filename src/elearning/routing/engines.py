"""The nodes of all shards, with their pools."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from elearning.config import Settings, address_of
from elearning.errors import NodeUnavailable, SettingsError
from elearning.regions import Region
from elearning.routing.commits import AsyncCommittingConnection, CommittingConnection
from elearning.routing.connecting import listen
from elearning.routing.cursors import AsyncQuickCursor, QuickCursor
from elearning.routing.node import Node, Role, ShardState
from elearning.routing.pool import AsyncNodePool, NodePool
from elearning.routing.watch import Watch

__all__ = ["Engines"]

logger = logging.getLogger("elearning.routing")


class Engines:
    """The nodes of all shards.

    Each node has a pool of its own: ``pool_size`` connections at most, waited
    for ``pool_timeout`` seconds (the seed: 1 to 10 connections, 30 s). Nothing
    is connected before the first use, or `open`. From then on a thread looks at each node
    every ``settings.limits.check_interval`` seconds, on a connection of its own.

    A process that is forked from this one starts with empty pools, and what was open stays
    with its parent.

    Args:
        settings: where the nodes are, and the limits.
        asynchronous: whether the engines are those of asyncio.
        pool_size: connections to a node at most.
        pool_timeout: seconds to wait for one.
        connect_timeout: seconds to wait for a host that is silent; libpq's least is 2.
        reads_without_replica: connections to a primary for reads that no replica can serve.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        asynchronous: bool = False,
        pool_size: int = 10,
        pool_timeout: float = 30.0,
        connect_timeout: int = 2,
        reads_without_replica: int = 5,
    ) -> None:
        if pool_size < 1 or reads_without_replica < 1:
            # To SQLAlchemy's pools, 0 is any number.
            sizes = f"pool_size={pool_size} and reads_without_replica={reads_without_replica}"
            raise SettingsError(variable="Engines", problem=f"has {sizes}, each is at least 1")
        self.settings = settings
        self.asynchronous = asynchronous
        self._pool_size = pool_size
        self._pool_timeout = pool_timeout
        self._connect_timeout = connect_timeout
        self._reads_without_replica = reads_without_replica
        self._primaries: dict[str, Node] = {}
        self._replicas: dict[str, tuple[Node, ...]] = {}
        for shard in settings.shards:
            state = ShardState()
            (primary, url), *replicas = shard.nodes
            self._primaries[shard.name] = self._node(
                Node(primary, shard.name, Role.PRIMARY, state, address_of(url)), url
            )
            self._replicas[shard.name] = tuple(
                self._node(Node(name, shard.name, Role.REPLICA, state, address_of(url)), url)
                for name, url in replicas
            )
        self._homes: dict[str, str] = {
            region: shard.name for shard in settings.shards for region in shard.regions
        }
        self._by_engine = {
            engine: node for node in self.nodes for engine in (node.engine, node.reader)
        }
        self._watch = Watch(self.nodes, settings.limits)
        for node in self.nodes:
            for engine in node.engines:
                pool = _pool_of(engine)
                pool.node, pool.watch, pool.longest_wait = node, self._watch.start, pool_timeout
        _OPEN.add(self)
        # Also where it was never closed, at the end of the process.
        weakref.finalize(self, _end, self.nodes, self._watch)

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
        except (KeyError, TypeError):
            known = ", ".join(self._primaries)
            raise SettingsError(
                variable="ELEARNING_SHARDS", problem=f"has no shard {shard!r}, only {known}"
            ) from None

    def replicas(self, shard: str) -> tuple[Node, ...]:
        """Return a shard's replicas; empty where none is configured."""
        try:
            return self._replicas[shard]
        except KeyError:
            self.primary(shard)  # says that there is none
            raise

    def home(self, region: Region | str) -> str:
        """Return the name of the shard that hosts a region.

        Raises:
            UnknownRegion: no region has this name.
        """
        try:
            return self._homes[region]
        except (KeyError, TypeError):
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
        self._watch.stop()
        for node in self.nodes:
            for engine in node.engines:
                engine.dispose()

    async def close_async(self) -> None:
        """Close all pooled connections."""
        await asyncio.to_thread(self._watch.stop)
        for node in self.nodes:
            for engine in node.engines:
                await AsyncEngine(engine).dispose()

    def _after_fork(self) -> None:
        """Begin anew in a forked process; its parent's connections stay its parent's."""
        self._watch.forget()
        for node in self.nodes:
            for wire in list(node.wires):
                wire.abandon()
            node.wires.clear()
            for engine in node.engines:
                engine.dispose(close=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _node(self, node: Node, url: URL) -> Node:
        if node.role is Role.PRIMARY:
            node.engine = self._engine(node, url, self._pool_size)
            node.reader = self._engine(node, url, self._reads_without_replica, **_READS)
        else:
            node.reader = self._engine(node, url, self._pool_size, **_READS)
            node.engine = node.reader.execution_options(isolation_level="READ COMMITTED")
        node.read_only = node.engine.execution_options(postgresql_readonly=True)
        listen(node)
        return node

    def _engine(self, node: Node, url: URL, pool_size: int, **more: Any) -> Engine:
        node.arguments = {
            "connect_timeout": self._connect_timeout,
            "application_name": "elearning",
        }
        commits = node.role is Role.PRIMARY
        cursors = AsyncQuickCursor if self.asynchronous else QuickCursor
        options = more | {
            "connect_args": {**node.arguments, "cursor_factory": cursors},
            "poolclass": AsyncNodePool if self.asynchronous else NodePool,
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": min(self._pool_timeout, _GLANCE),
            # They may hold a password's hash, and tracebacks end in logs.
            "hide_parameters": True,
        }
        if self.asynchronous:
            if commits:
                options["connect_args"]["async_creator_fn"] = AsyncCommittingConnection.connect
            return create_async_engine(url, **options).sync_engine
        engine = create_engine(url, **options)
        if commits:
            # A listener to "do_connect" that connects by itself would keep others from being asked.
            engine.dialect.connect = CommittingConnection.connect  # type: ignore[assignment,method-assign]
        return engine


_READS = {
    "isolation_level": "AUTOCOMMIT",
    "skip_autocommit_rollback": True,
    # What runs by itself leaves nothing behind; a transaction is ended by who began it.
    "pool_reset_on_return": None,
}
_GLANCE = 0.5  # seconds to wait for a place in a pool until its node is looked at again
_OPEN: weakref.WeakSet[Engines] = weakref.WeakSet()


def _pool_of(engine: Engine) -> NodePool:
    if not isinstance(engine.pool, NodePool):
        raise TypeError(engine.pool)
    return engine.pool


def _end(nodes: Sequence[Node], watch: Watch) -> None:
    """Take leave of the servers; in the last moment, so without any event loop."""
    watch.stop()
    for node in nodes:
        for wire in list(node.wires):
            wire.finish()


def _after_fork() -> None:
    for engines in list(_OPEN):
        engines._after_fork()  # noqa: SLF001 - a hook of the module, for each object of it


os.register_at_fork(after_in_child=_after_fork)
