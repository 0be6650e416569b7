"""The session that finds the right shard and the right node by itself.

Rules (docs/routing.md explains them):

* what is positively known to read goes to a replica, everything else to the
  primary;
* from the first statement on a shard's primary on, the rest of the transaction
  stays on that primary; reads of one unit of work use one replica;
* a transaction writes on one shard;
* reads see what the session's token has seen written.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, UOWTransaction

from elearning.errors import (
    CrossShardRead,
    CrossShardWrite,
    ElearningError,
    InvalidId,
    InvalidText,
    RegionRequired,
    RoutingError,
)
from elearning.ids import region_of
from elearning.models import Global, Record
from elearning.models.counters import expire_counting
from elearning.models.identity import assign_ids, home_of
from elearning.regions import Region
from elearning.routing.engines import Engines, Node, Role
from elearning.routing.replay import current_position, is_fit
from elearning.routing.statements import named_ids, only_reads
from elearning.routing.token import UNKNOWN, Token

__all__ = ["Consistency", "RoutingSession"]

logger = logging.getLogger("elearning.routing")


class Route(NamedTuple):
    """What was decided for a statement before its autoflush."""

    shard: str
    reads: bool
    streams: bool = False


class Consistency(StrEnum):
    """What a read must see."""

    EVENTUAL = "eventual"
    """Whatever a replica has."""
    SESSION = "session"
    """All that this session, or the holder of its token, has written."""
    PRIMARY = "primary"
    """All that was committed."""

    @classmethod
    def parse(cls, value: Consistency | str) -> Consistency:
        """Return the level of this name.

        Raises:
            InvalidText: no level has this name.
        """
        try:
            return cls(value)
        except ValueError:
            raise InvalidText(
                field="consistency", problem=f"{value!r} is none of {', '.join(cls)}"
            ) from None


class RoutingSession(Session):
    """A `Session` over all shards, opened for a region; ids may widen it.

    Args:
        bind: an engine or connection; switches routing off.
        engines: the nodes to choose from.
        region: where statements go that name no region by themselves.
        consistency: what reads must see.
        token: what was written before, by whoever the session serves; a text, or
            a `Token`, which is then shared: it grows with each commit.
        max_wait: seconds to wait for a replica before the primary is read.
        **options: those of `sqlalchemy.orm.Session`.
    """

    def __init__(
        self,
        bind: Engine | Connection | None = None,
        *,
        engines: Engines | None = None,
        region: Region | str | None = None,
        consistency: Consistency | str = Consistency.SESSION,
        token: Token | str | None = None,
        max_wait: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(bind, **options)
        self.engines = engines
        self.region = None if region is None else Region.parse(region)
        self.consistency = Consistency.parse(consistency)
        self.token = Token.of(token)
        self.max_wait = max_wait
        self._written: str | None = None
        self._primaries: dict[str, Connection | None] = {}
        self._replicas: dict[str, Node] = {}

    def get_bind(
        self,
        mapper: Any = None,
        *,
        clause: Any = None,
        bind: Engine | Connection | None = None,
        route: Route | None = None,
        **options: Any,
    ) -> Engine | Connection:
        """Return the node for a statement, or for a flush."""
        if bind is not None or not self._routes:
            return super().get_bind(mapper, clause=clause, bind=bind, **options)
        if route is None:
            # A flush or a bulk method: never a replica. Outside a transaction somebody
            # only asks, and that must not decide anything.
            shard = self._written or self._session_shard("this statement")
            if self.in_transaction():
                return self._pin(shard)
            return self._nodes.primary(shard).engine
        return self._reader(route) if route.reads else self._pin(route.shard)

    def connection(
        self,
        bind_arguments: dict[str, Any] | None = None,
        execution_options: Mapping[str, Any] | None = None,
    ) -> Connection:
        """Return the connection to the primary, on which the transaction stays then."""
        if self._routes and not (bind_arguments or {}).get("bind"):
            self._start_afresh()
            self._pin(self._written or self._session_shard("connection()"))
        return super().connection(bind_arguments, execution_options)

    def _start_afresh(self) -> None:
        """Forget what a statement decided that failed before it began a transaction."""
        if not self.in_transaction():
            self._forget()

    def _forget(self) -> None:
        self._written = None
        self._primaries.clear()
        self._replicas.clear()

    @property
    def _routes(self) -> bool:
        return self.engines is not None and self.bind is None and not self.binds

    @property
    def _nodes(self) -> Engines:
        if self.engines is None:
            message = "this RoutingSession has neither engines nor a bind: pass one of them"
            raise RoutingError(message)
        return self.engines

    def _session_shard(self, what: str) -> str:
        if self.region is not None:
            return self._nodes.home(self.region)
        if len(self._nodes.shards) == 1:
            return self._nodes.shards[0]
        raise RegionRequired(statement=what)

    def _pin(self, shard: str) -> Engine:
        """Stay on a shard's primary until the transaction ends."""
        if self._written is not None and self._written != shard:
            raise CrossShardWrite(first=self._written, second=shard)
        self._written = shard
        self._primaries.setdefault(shard, None)
        return self._nodes.primary(shard).engine

    def _reader(self, route: Route) -> Engine:
        shard = route.shard
        if shard in self._primaries or self.consistency is Consistency.PRIMARY:
            return self._nodes.primary(shard).engine
        if self.in_nested_transaction():
            # A replica that commits each statement by itself has no savepoints.
            return self._nodes.primary(shard).engine
        node = self._replicas.get(shard)
        if node is None:
            node = self._fit_replica(shard)
            if node is None:
                self._primaries.setdefault(shard, None)
                return self._nodes.primary(shard).engine
            self._replicas[shard] = node
        # A cursor of the server's lives in a transaction.
        return node.engine if route.streams else node.reader

    def _fit_replica(self, shard: str) -> Node | None:
        replicas = list(self._nodes.replicas(shard))
        random.shuffle(replicas)  # spreads the load; nothing secret about it
        needed = self.token.get(shard) if self.consistency is Consistency.SESSION else None
        if needed == UNKNOWN:
            return None
        for node in replicas:
            if is_fit(node, needed, self.max_wait):
                return node
        return None

    def _named_shard(self, state: ORMExecuteState, *, reads: bool) -> str | None:
        """Return the shard of the ids that a statement names, if it names any."""
        globals_too = all(issubclass(mapper.class_, Global) for mapper in state.all_mappers)
        shards = set()
        ids = named_ids(state.statement, state.parameters, globals_too=globals_too)
        for one in ids:
            # An id that carries no region is of no row: the others decide.
            with suppress(InvalidId):
                shards.add(self._nodes.home(region_of(one)))
        if len(shards) > 1:
            first, second, *_ = sorted(shards)
            if reads:
                raise CrossShardRead(shards=", ".join(sorted(shards)))
            raise CrossShardWrite(first=first, second=second)
        return next(iter(shards), None)


def _route(state: ORMExecuteState) -> None:
    """Decide a statement's shard, before its autoflush; the node comes after it."""
    session = state.session
    if not isinstance(session, RoutingSession) or not session._routes:  # noqa: SLF001
        return
    if state.bind_arguments.get("bind") is not None:
        return
    session._start_afresh()  # noqa: SLF001
    options = state.execution_options
    reads = only_reads(state.statement)
    shard = (
        session._nodes.primary(options["shard"]).shard  # noqa: SLF001
        if options.get("shard") is not None
        else session._nodes.home(options["region"])  # noqa: SLF001
        if options.get("region") is not None
        else session._named_shard(state, reads=reads)  # noqa: SLF001
        or session._written  # noqa: SLF001
        or session._session_shard(_name(state))  # noqa: SLF001
    )
    if not reads:
        # At once: what an UPDATE reads to synchronize must come from the primary.
        session._pin(shard)  # noqa: SLF001
    logger.debug("%s: shard %s, %s", _name(state), shard, "read" if reads else "write or unknown")
    streams = bool(options.get("yield_per") or options.get("stream_results"))
    state.bind_arguments["route"] = Route(shard, reads, streams)


def _name(state: ORMExecuteState) -> str:
    return f"{type(state.statement).__name__.lower()} statement"


def _before_flush(session: Session, _: UOWTransaction, __: object) -> None:
    if not isinstance(session, RoutingSession):
        return
    assign_ids(session.new, session.region)
    if not session._routes:  # noqa: SLF001
        return
    # What was set to the value that it had is dirty, and not written.
    changed = [row for row in session.dirty if session.is_modified(row)]
    for row in (*session.new, *changed, *session.deleted):
        home = home_of(row) if isinstance(row, Record) else None
        session._pin(  # noqa: SLF001
            session._nodes.home(home)  # noqa: SLF001
            if home is not None
            else session._written or session._session_shard(f"{type(row).__name__}()")  # noqa: SLF001
        )


def _after_flush(session: Session, _: UOWTransaction) -> None:
    for row in (*session.new, *session.dirty, *session.deleted):
        if isinstance(row, Record):
            expire_counting(session, row)


def _after_begin(session: Session, _: SessionTransaction, connection: Connection) -> None:
    if isinstance(session, RoutingSession) and session._routes:  # noqa: SLF001
        node = session._nodes.node_of(connection.engine)  # noqa: SLF001
        if node is not None and node.role is Role.PRIMARY:
            session._primaries[node.shard] = connection  # noqa: SLF001


def _after_commit(session: Session) -> None:
    """Note what was written, on the very connection that committed it."""
    if not isinstance(session, RoutingSession) or session.in_nested_transaction():
        return
    written = session._written  # noqa: SLF001
    connection = session._primaries.get(written) if written is not None else None  # noqa: SLF001
    if written is None or connection is None:
        return
    try:
        position = current_position(connection)
    except (SQLAlchemyError, ElearningError):
        # The COMMIT stands: an error here would make it look failed. That
        # shard's reads use the primary from here on.
        logger.warning("no position after the commit on shard %s", written, exc_info=True)
        position = UNKNOWN
    session.token.advance(written, position)


def _after_end(session: Session, transaction: SessionTransaction) -> None:
    if isinstance(session, RoutingSession) and transaction.parent is None:
        session._forget()  # noqa: SLF001


event.listen(RoutingSession, "do_orm_execute", _route)
event.listen(RoutingSession, "before_flush", _before_flush)
event.listen(RoutingSession, "after_flush", _after_flush)
event.listen(RoutingSession, "after_begin", _after_begin)
event.listen(RoutingSession, "after_commit", _after_commit)
event.listen(RoutingSession, "after_transaction_end", _after_end)
