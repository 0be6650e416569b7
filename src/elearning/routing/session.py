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
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Executable, Select, bindparam, event, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapper, Session, SessionTransaction, UOWTransaction
from sqlalchemy.util import EMPTY_DICT

from elearning.errors import ElearningError
from elearning.models import Global, Record
from elearning.models.counters import expire_counting
from elearning.models.identity import assign_ids
from elearning.regions import Region
from elearning.routing.commits import Committing
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.node import Role
from elearning.routing.replay import committed_position
from elearning.routing.router import Router
from elearning.routing.rows import may_be_plain, reader_of
from elearning.routing.statements import form_of
from elearning.routing.token import UNKNOWN, Token
from elearning.routing.work import UnitOfWork

__all__ = ["RoutingSession"]

logger = logging.getLogger("elearning.routing")

_ROUTED = {"route"}
_WITHOUT_EFFECT = {"region", "shard", "prebuffer_rows"}
"""Execution options that tell nothing more where all rows are read at once."""


@lru_cache
def _by_id(model: Any) -> Select[Any] | None:
    """Return the SELECT of a row by its id: building it anew takes longer than the answer."""
    if not isinstance(model, type) or not issubclass(model, Record):
        return None
    mapper: Mapper[Any] | None = inspect(model, raiseerr=False)
    if mapper is None or mapper.inherits is not None or len(mapper.primary_key) > 1:
        return None
    return select(model).where(model.id == bindparam("id"))


class RoutingSession(Router):
    """A `Session` over all shards, opened for a region; ids may widen it.

    Args:
        bind: an engine or connection; switches routing off.
        engines: the nodes to choose from.
        region: where statements go that name no region by themselves.
        consistency: what reads must see.
        token: what was written before, by whoever the session serves; a text, or
            a `Token`, which is then shared: it grows with each commit.
        max_wait: seconds to wait for a replica before the primary is read; default: the
            setting.
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
        max_wait: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(bind, **options)
        self.engines = engines
        self.region = None if region is None else Region.parse(region)
        self.consistency = Consistency.parse(consistency)
        self.token = Token.of(token)
        self.max_wait = max_wait
        self._work = UnitOfWork()

    def explain_route(
        self,
        statement: Any,
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> str:
        """Return which shard and which role a statement would use now, and why; in one line.

        Raises:
            RoutingError: it cannot be sent to one shard.
        """
        if not self._routes:
            return "no routing: the session has a bind"
        return self._told(self._decide(statement, params, execution_options))

    if not TYPE_CHECKING:  # the types are those of Session

        def execute(self, statement: Any, params: Any = None, **options: Any) -> Any:
            """Execute a statement on its node; see `Session.execute`."""
            return self._run(super().execute, statement, params, options)

        def scalar(self, statement: Any, params: Any = None, **options: Any) -> Any:
            """Return the first column of the first row; see `Session.scalar`."""
            return self._run(self._scalar, statement, params, options)

        def scalars(self, statement: Any, params: Any = None, **options: Any) -> Any:
            """Return the first column of all rows; see `Session.scalars`."""
            return self._run(super().scalars, statement, params, options)

        def get(self, entity: Any, ident: Any, **options: Any) -> Any:
            """Return the row of an id; see `Session.get`."""
            if (
                not isinstance(ident, UUID)
                or not self._routes
                or (by_id := _by_id(entity)) is None
                or self.execution_options
                or (options and any(options.values()))
                or (entity, (ident,), None) in self.identity_map
            ):
                return super().get(entity, ident, **options)
            options = self._options_for(ident, near=issubclass(entity, Global))
            return self._run(self._scalar, by_id, {"id": ident}, options)

        def merge(self, instance: Any, **options: Any) -> Any:
            """Copy the state of an instance; see `Session.merge`."""
            with self._leading([instance] if options.get("load", True) else []):
                return super().merge(instance, **options)

        def merge_all(self, instances: Any, **options: Any) -> Any:
            """Copy the state of instances; see `Session.merge_all`."""
            instances = list(instances)
            with self._leading(instances if options.get("load", True) else []):
                return super().merge_all(instances, **options)

        def delete(self, instance: Any) -> None:
            """Mark a row as deleted; see `Session.delete`."""
            with self._leading([instance]):
                super().delete(instance)

        def delete_all(self, instances: Any) -> None:
            """Mark rows as deleted; see `Session.delete_all`."""
            instances = list(instances)
            with self._leading(instances):
                super().delete_all(instances)

        def bulk_save_objects(self, objects: Any, *arguments: Any, **options: Any) -> None:
            """Write rows without a flush; see `Session.bulk_save_objects`."""
            objects = list(objects)
            assign_ids(objects, self.region)
            with self._deciding():
                self._pin_rows(objects)
                super().bulk_save_objects(objects, *arguments, **options)

        def bulk_insert_mappings(
            self, mapper: Any, mappings: Any, *arguments: Any, **options: Any
        ) -> None:
            """Insert rows of a table; see `Session.bulk_insert_mappings`."""
            mappings = [self._with_id(mapper, each) for each in mappings]
            with self._deciding():
                self._lead_values(mapper, mappings)
                super().bulk_insert_mappings(mapper, mappings, *arguments, **options)

        def bulk_update_mappings(self, mapper: Any, mappings: Any) -> None:
            """Update rows of a table by their ids; see `Session.bulk_update_mappings`."""
            mappings = list(mappings)
            with self._deciding():
                self._lead_values(mapper, mappings)
                super().bulk_update_mappings(mapper, mappings)

    def rows(
        self,
        statement: Select[*tuple[Any, ...]],
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Sequence[Sequence[Any]]:
        """Return all rows of a statement, without names; as `execute(...).all()`, but sooner."""
        return self.answer(statement, params, execution_options=execution_options)[1]

    def answer(
        self,
        statement: Executable,
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return the names of a statement's columns, and all rows; see `rows`."""
        options = {"execution_options": execution_options} if execution_options else {}
        found: tuple[Sequence[str], Sequence[Sequence[Any]]]
        found = self._run(self._answer, statement, params, options)
        return found

    def _scalar(self, statement: Any, params: Any, **options: Any) -> Any:
        found = self._plain(statement, params, most=1, **options)
        if found is None:
            return super().scalar(statement, params, **options)
        rows = found[1]
        return rows[0][0] if rows else None

    def _answer(self, statement: Any, params: Any, **options: Any) -> Any:
        found = self._plain(statement, params, **options)
        if found is not None:
            return found
        result = super().execute(statement, params, **options)
        return tuple(result.keys()), result.all()

    def _plain(
        self,
        statement: Any,
        params: Any,
        *,
        most: int | None = None,
        bind_arguments: Mapping[str, Any] | None = None,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
        **options: Any,
    ) -> tuple[Sequence[str], list[tuple[Any, ...]]] | None:
        """Return the answer to a plain statement; None: it is none, or somebody listens."""
        if (
            options
            or bind_arguments is None
            or bind_arguments.keys() != _ROUTED
            or not execution_options.keys() <= _WITHOUT_EFFECT
            or self.execution_options
            or self.dispatch.do_orm_execute
            or not (params is None or isinstance(params, dict))
            or not may_be_plain(statement, self)
        ):
            return None
        # Before anything is compiled: what its dialect can do, an engine learns by connecting.
        connection = Session.connection(self, {"bind": self.get_bind(**bind_arguments)})
        form = form_of(statement)
        reader = reader_of(statement, form, connection)
        if reader is None or reader.is_heard(self):
            return None
        values = reader.quick.values(form.binds, params or EMPTY_DICT)
        if values is None:
            return None
        return reader.names, reader.read(self, connection, values, most)

    def _before_commit(self) -> None:
        if self._work.readers and not self.in_nested_transaction():
            self._drop()

    def _before_flush(self, _: UOWTransaction, __: object) -> None:
        assign_ids(self.new, self.region)
        # What was set to the value that it had is dirty, and not written.
        changed = [row for row in self.dirty if self.is_modified(row)]
        self._pin_rows((*self.new, *changed, *self.deleted))

    def _after_flush(self, _: UOWTransaction) -> None:
        for row in (*self.new, *self.dirty, *self.deleted):
            if isinstance(row, Record):
                expire_counting(self, row)

    def _after_begin(self, _: SessionTransaction, connection: Connection) -> None:
        node = self._nodes.node_of(connection.engine) if self._routes else None
        if node is not None and node.role is Role.PRIMARY and connection.engine is node.engine:
            work, driver = self._work, connection.connection.driver_connection
            work.primaries[node.shard] = connection
            if isinstance(driver, Committing):
                driver.forget_commit()
                work.drivers[node.shard] = driver

    def _after_commit(self) -> None:
        """Note what was written, on the very connection that committed it."""
        work = self._work
        connection = work.primaries.get(work.written or "")
        if self.in_nested_transaction() or work.written is None or connection is None:
            return
        position = UNKNOWN
        try:
            position = committed_position(connection, work.drivers.get(work.written))
        except (SQLAlchemyError, ElearningError):
            # The COMMIT stands: an error here would make it look failed. That
            # shard's reads use the primary from here on.
            logger.warning("no position after the commit on shard %s", work.written, exc_info=True)
        finally:
            self.token.advance(work.written, position)
            work.written = None

    def _after_end(self, transaction: SessionTransaction) -> None:
        if transaction.parent is not None:
            return
        work = self._work
        connection = work.primaries.get(work.written or "")
        if work.written is not None and connection is not None:
            driver = work.drivers.get(work.written)
            level = connection.get_execution_options().get("isolation_level")
            # Something came in between: an interrupt, another shard's COMMIT, a listener. So the
            # COMMIT stands, or it may: its answer was lost; or each statement stands.
            committed = None if driver is None else driver.position
            if committed is not None or level == "AUTOCOMMIT":
                self.token.advance(work.written, committed or UNKNOWN)
        self._forget()


event.listen(RoutingSession, "before_commit", RoutingSession._before_commit)  # noqa: SLF001
event.listen(RoutingSession, "before_flush", RoutingSession._before_flush)  # noqa: SLF001
event.listen(RoutingSession, "after_flush", RoutingSession._after_flush)  # noqa: SLF001
event.listen(RoutingSession, "after_begin", RoutingSession._after_begin)  # noqa: SLF001
event.listen(RoutingSession, "after_commit", RoutingSession._after_commit)  # noqa: SLF001
event.listen(RoutingSession, "after_transaction_end", RoutingSession._after_end)  # noqa: SLF001
