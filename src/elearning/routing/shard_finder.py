"""How a `RoutingSession` finds the shard of a statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import inspect
from sqlalchemy.orm import Session
from sqlalchemy.util import EMPTY_DICT

from elearning.errors import (
    CrossShardRead,
    CrossShardWrite,
    InvalidId,
    RegionRequired,
    RoutingError,
)
from elearning.ids import new_id, region_of
from elearning.models import Record
from elearning.models.identity import home_of_values
from elearning.regions import Region
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.route import Route
from elearning.routing.statements import form_of, ids_of
from elearning.routing.token import Token
from elearning.routing.work import UnitOfWork

__all__ = ["ShardFinder"]


class ShardFinder(Session):
    """The part of `RoutingSession` that finds the shard."""

    engines: Engines | None
    region: Region | None
    consistency: Consistency
    token: Token
    _work: UnitOfWork

    @property
    def _routes(self) -> bool:
        return self.engines is not None and self.bind is None and not self.binds

    @property
    def _nodes(self) -> Engines:
        if self.engines is None:
            message = "this RoutingSession has neither engines nor a bind: pass one of them"
            raise RoutingError(message)
        return self.engines

    def _decide(self, statement: Any, params: Any, given: Mapping[str, Any] | None) -> Route:
        """Find a statement's shard, before its autoflush; the node comes after it."""
        own: Mapping[str, Any] = getattr(statement, "_execution_options", EMPTY_DICT)
        options = own or given or EMPTY_DICT
        if self.execution_options or (own and given):
            options = {**self.execution_options, **own, **(given or EMPTY_DICT)}
        form = form_of(statement)
        streams = bool(options) and _streams(options)
        if options and (name := options.get("shard")) is not None:
            shard, why = self._nodes.primary(name).shard, "execution option shard=" + name
        elif options and (region := options.get("region")) is not None:
            shard, why = self._nodes.home(region), "execution option region=" + region
        else:
            told = _first_of(statement, own) if own else statement
            shard, why = (
                self._named_shard(told, form if told is statement else form_of(told), params)
                or (self._work.written and (self._work.written, "the transaction writes there"))
                or self._session_shard(statement)
            )
        return Route(shard, why, form.obstacle, streams)

    def _options_for(self, one: UUID, *, near: bool) -> dict[str, Any]:
        """Return what leads a SELECT to a row; nothing where its id tells no region.

        Args:
            one: the row's id.
            near: whether every shard has a copy.
        """
        try:
            region = region_of(one)
        except InvalidId:
            return {}
        home = self._nodes.home(region)
        copy = self._near((home,)) if near else None
        route = Route(*(copy or (home, "an id of " + region)), None)
        return {"bind_arguments": {"route": route}}

    def _near(self, homes: Iterable[str]) -> tuple[str, str] | None:
        """Return the shard of the session's region, where a copy will do for rows of these shards.

        Not where they were written by whoever the session serves: the copy may come later.
        """
        if self.region is None or self.consistency is Consistency.PRIMARY or self._work.written:
            return None
        here = self._nodes.home(self.region)
        if self.consistency is Consistency.SESSION and any(
            home != here and home in self.token for home in homes
        ):
            return None
        return here, "a copy in the session's region " + self.region

    def _named_shard(self, statement: Any, form: Any, params: Any) -> tuple[str, str] | None:
        """Return the shard of the ids that a statement names, if it names any."""
        several = ids_of(statement, form, params)
        if not several:
            return None
        shards: dict[str, Region] = {}
        named: set[str] = set()
        for ids in several:
            found: dict[str, Region] = {}
            for one in ids:
                try:
                    region = region_of(one)
                except InvalidId:
                    # An id that carries no region is of no row: the others decide.
                    continue
                found[self._nodes.home(region)] = region
            if found:
                # A row that is on two shards is on none.
                shards = {key: found[key] for key in found if key in shards or not named}
                named |= found.keys()
        if named and form.near and (copy := self._near(named)):
            return copy
        if len(shards) > 1 or (named and not shards):
            first, second, *_ = sorted(named)
            if form.obstacle is None:
                raise CrossShardRead(shards=", ".join(sorted(named)))
            raise CrossShardWrite(first=first, second=second)
        for shard, region in shards.items():
            return shard, "an id of " + region
        return None

    def _session_shard(self, what: object) -> tuple[str, str]:
        """Return the shard of the session's region, for a statement or what this text says."""
        if self.region is not None:
            return self._nodes.home(self.region), "the session's region " + self.region
        if len(self._nodes.shards) == 1:
            return self._nodes.shards[0], "there is one shard"
        named = what if isinstance(what, str) else f"{type(what).__name__.lower()} statement"
        raise RegionRequired(statement=named)

    def _with_id(self, mapper: Any, values: dict[str, Any]) -> dict[str, Any]:
        is_record = issubclass(inspect(mapper).class_, Record)
        if self._routes and is_record and values.get("id") is None:
            region = home_of_values(mapper, values) or self.region
            if region is not None:
                values["id"] = new_id(region)
        return values


def _streams(options: Mapping[str, Any]) -> bool:
    """Tell whether the rows come through a cursor of the server's."""
    if options.get("yield_per") or options.get("stream_results"):
        return True
    # Where Query.yield_per() notes it.
    loading = options.get("_sa_orm_load_options")
    return loading is not None and bool(loading._yield_per)  # noqa: SLF001


def _first_of(statement: Any, options: Mapping[Any, Any]) -> Any:
    """Return the statement whose rows this one of ``subqueryload`` adds to, or itself."""
    for key, value in options.items():
        # As SQLAlchemy notes it; the name of the loader's class is private.
        if isinstance(key, tuple) and key[0] == "orig_query":
            return value
    return statement
