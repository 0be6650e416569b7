"""How a `RoutingSession` finds the node of a shard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IllegalStateChangeError, SQLAlchemyError
from sqlalchemy.orm import SessionTransactionOrigin

from elearning.errors import (
    CrossShardWrite,
    ElearningError,
    NodeUnavailable,
)
from elearning.models import Record
from elearning.models.identity import home_of, home_of_values
from elearning.routing.consistency import Consistency
from elearning.routing.node import Node, Role
from elearning.routing.replay import choose_replica
from elearning.routing.route import Route
from elearning.routing.shard_finder import ShardFinder
from elearning.routing.statements import form_of
from elearning.routing.token import UNKNOWN
from elearning.routing.work import UnitOfWork

__all__ = ["Router"]

logger = logging.getLogger("elearning.routing")


class Router(ShardFinder):
    """The part of `RoutingSession` that finds the node."""

    max_wait: float | None
    _work: UnitOfWork
    _releasing = False

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
        if route is not None:
            if route.obstacle is None and not self._was_changed(clause):
                return self._reader(route)
            self._pin(route.shard)
            return self._primary(route.shard)
        if bind is not None or not self._routes:
            return super().get_bind(mapper, clause=clause, bind=bind, **options)
        # A flush or a bulk method: never a replica. Outside a transaction somebody
        # only asks, and that must not decide anything.
        shard = self._work.written or self._session_shard("this statement")[0]
        if self.in_transaction():
            self._pin(shard)
        return self._primary(shard)

    def _was_changed(self, clause: Any) -> bool:
        """Tell whether a listener has put a statement that writes in the place of one that reads.

        On a replica that would fail, and then be done by itself on the primary.
        """
        listens = bool(self.dispatch.do_orm_execute)
        return listens and clause is not None and form_of(clause).obstacle is not None

    def connection(
        self,
        bind_arguments: dict[str, Any] | None = None,
        execution_options: Mapping[str, Any] | None = None,
    ) -> Connection:
        """Return the connection to the primary, on which the transaction stays then."""
        with self._deciding():
            if self._routes and not (bind_arguments or {}).get("bind"):
                self._release()
                self._pin(self._work.written or self._session_shard("connection()")[0])
            return super().connection(bind_arguments, execution_options)

    def _run(
        self, run: Callable[..., Any], statement: Any, params: Any, options: dict[str, Any]
    ) -> Any:
        """Execute a statement: decide, and go elsewhere where a replica fails."""
        arguments = options.get("bind_arguments")
        if not self._routes or (arguments and arguments.get("bind") is not None):
            return run(statement, params, **options)
        # What an UPDATE reads first, to synchronize, goes where the UPDATE goes.
        route: Route | None = arguments.get("route") if arguments else None
        if route is None:
            route = self._decide(statement, params, options.get("execution_options"))
            options["bind_arguments"] = (
                {**arguments, "route": route} if arguments else {"route": route}
            )
        try:
            self._enter(route)
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s: %s", type(statement).__name__.lower(), self._told(route))
            while True:
                try:
                    result = run(statement, params, **options)
                except NodeUnavailable as error:
                    if not self._gives_way(route, error):
                        raise
                else:
                    self._work.seen.add(route.shard)
                    return result
        except BaseException:
            if not self.in_transaction():
                self._forget()
            raise

    def _enter(self, route: Route) -> None:
        work = self._work
        if route.obstacle is not None:
            self._release()
            # At once: what an UPDATE reads to synchronize must come from the primary.
            self._pin(route.shard)
        else:
            if work.reading != route.shard and work.reading is not None:
                self._release()
            work.reading = route.shard
        if route.streams:
            work.streams.add(route.shard)

    def _pin(self, shard: str) -> None:
        """Stay on a shard's primary until the transaction ends."""
        work = self._work
        if work.written == shard:
            return
        if work.written is not None:
            raise CrossShardWrite(first=work.written, second=shard)
        work.written = shard
        work.primaries.setdefault(shard, None)

    def _primary(self, shard: str) -> Engine:
        """Return what runs transactions on a shard's primary."""
        return self._nodes.primary(shard).engine

    def _pin_rows(self, rows: Iterable[object]) -> None:
        """Stay on the primary of the rows of a flush."""
        if self._routes:
            homes = [(row, home_of(row) if isinstance(row, Record) else None) for row in rows]
            # Those that are at home somewhere tell where the others go.
            for row, home in sorted(homes, key=lambda each: each[1] is None):
                self._pin(
                    self._nodes.home(home)
                    if home is not None
                    else self._work.written or self._session_shard(f"{type(row).__name__}()")[0]
                )

    @contextmanager
    def _leading(self, rows: Iterable[object]) -> Iterator[None]:
        """Read from the primary what will be written, inside the block and after it."""
        if self._routes:
            for home in {home_of(row) for row in rows if isinstance(row, Record)}:
                if home is not None and self._work.written is None:
                    self._release()
                    self._pin(self._nodes.home(home))
        with self._deciding():
            yield

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        """Forget what was decided inside the block for a transaction that has not begun."""
        try:
            yield
        finally:
            if not self.in_transaction():
                self._forget()

    def _lead_values(self, mapper: Any, mappings: Iterable[Mapping[str, Any]]) -> None:
        """Stay on the primary of rows of which there are values only."""
        if self._routes:
            for home in {home_of_values(mapper, each) for each in mappings}:
                if home is not None:
                    self._pin(self._nodes.home(home))

    def _reader(self, route: Route) -> Engine:
        shard, work = route.shard, self._work
        if self._why_primary(shard) is not None:
            return self._primary(shard)
        node = work.readers.get(shard)
        if node is None:
            node = work.readers[shard] = self._fit_replica(shard) or self._nodes.primary(shard)
        # A cursor of the server's lives in a transaction, and who reads beside it, in the same.
        return node.engine if shard in work.streams else node.reader

    def _why_primary(self, shard: str) -> str | None:
        """Return why reads are a part of a transaction on the primary, if they are."""
        work = self._work
        if shard in work.primaries:
            return "the transaction is there"
        if self.consistency is Consistency.PRIMARY:
            return "consistency is primary"
        if shard not in work.readers and not self._nodes.replicas(shard):
            return "the shard has no replica"
        if self.in_nested_transaction() or self.twophase:
            # A replica that commits each statement by itself has neither.
            return "it is in a savepoint or a two-phase transaction"
        return None

    def _fit_replica(self, shard: str) -> Node | None:
        fit = [node for node in self._nodes.replicas(shard) if node.is_fit]
        state = self._nodes.primary(shard).state
        if not fit and not state.alone:
            logger.warning("all replicas of shard %s are left out: its primary reads", shard)
        state.alone = not fit
        needed = self.token.get(shard) if self.consistency is Consistency.SESSION else None
        if not fit or needed == UNKNOWN:
            return None
        if failed := self._work.failed:
            fit = [node for node in fit if node not in failed]
        return choose_replica(fit, needed, self._longest_wait)

    @property
    def _longest_wait(self) -> float:
        return self._nodes.settings.limits.max_wait if self.max_wait is None else self.max_wait

    def _gives_way(self, route: Route, error: NodeUnavailable) -> bool:
        """Tell whether a read goes elsewhere: once to another replica, then to the primary."""
        work, shard = self._work, route.shard
        node = work.readers.get(shard)
        if not route.reads or shard in work.streams or node is None or node.role is Role.PRIMARY:
            return False
        if error.values.get("node") != node.name:
            return False
        logger.warning("read elsewhere: %s", error)
        work.failed.add(node)
        self._drop(node)
        failed = sum(each.shard == shard for each in work.failed)
        if shard in work.seen or failed > 1:
            # Another replica might be behind what was seen already.
            work.readers[shard] = self._nodes.primary(shard)
        else:
            del work.readers[shard]
        return True

    def _release(self) -> None:
        """Give back the connections to replicas, before waiting for one to another node.

        Who holds one while waiting for another can wait for ever. No read is lost: each was a
        transaction of its own, and its rows are here.
        """
        work = self._work
        if work.reading is None or work.primaries or work.streams or self._flushing:
            return
        transaction = self.get_transaction()
        if (
            transaction is not None
            and transaction.is_active
            and transaction.origin is SessionTransactionOrigin.AUTOBEGIN
            and not self.in_nested_transaction()
        ):
            self._releasing = True
            try:
                # Not where a listener writes while the transaction is being committed.
                with suppress(IllegalStateChangeError):
                    transaction.close()
            finally:
                self._releasing = False

    def _drop(self, node: Node | None = None) -> None:
        """Take reading connections out of the transaction: its COMMIT is not about them.

        Without that, a replica that has died since would make the COMMIT of a primary fail, or
        look as if it had.

        Args:
            node: whose; None: those of all nodes.
        """
        root = self.get_transaction()
        while root is not None and root.parent is not None:
            root = root.parent
        held = {} if root is None else root._connections  # noqa: SLF001 - nothing public lets go
        for key, (connection, begun, *_) in list(held.items()):
            found = self._nodes.node_of(key) if isinstance(key, Engine) else None
            if found is None or node not in {None, found}:
                continue
            if found.role is Role.REPLICA or key is found.reader:
                del held[key], held[connection]
                with suppress(SQLAlchemyError, ElearningError):
                    begun.close()
                connection.close()

    def _forget(self) -> None:
        if not self._releasing:
            self._work = UnitOfWork()

    def _told(self, route: Route) -> str:
        return f"shard {route.shard} ({route.why}), {self._told_role(route)}"

    def _told_role(self, route: Route) -> str:
        shard = route.shard
        if why := route.obstacle or self._why_primary(shard):
            return f"primary: {why}"
        if node := self._work.readers.get(shard):
            return f"{node.role} {node.name}: the unit of work reads there"
        replicas = self._nodes.replicas(shard)
        if not any(node.is_fit for node in replicas):
            out = ", ".join(f"{node.name} {node.problem or node.lag}" for node in replicas)
            return f"primary: all replicas are left out ({out})"
        needed = self.token.get(shard) if self.consistency is Consistency.SESSION else None
        if needed is None:
            return "replica: it only reads"
        if needed == UNKNOWN:
            return "primary: nobody knows what a replica must have replayed"
        return (
            f"replica: it only reads, where {needed.sql_lsn} is replayed; "
            f"else the primary, after {self._longest_wait:g} s"
        )
