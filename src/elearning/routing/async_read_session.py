"""`ReadSession` for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, TypeVarTuple, overload
from uuid import UUID

from sqlalchemy import CompoundSelect, Result, ScalarResult, Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import FromStatement
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.util import EMPTY_DICT

from elearning.regions import Region
from elearning.routing.read_session import ReadOnlyRoutingSession, ReadSession
from elearning.routing.session import RoutingSession
from elearning.routing.token import Token

__all__ = ["AsyncReadSession"]

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Ts = TypeVarTuple("_Ts")


class AsyncReadSession:
    """The same for asyncio; see `Platform.read_session`."""

    def __init__(self, **options: Any) -> None:
        # An attribute of a row must not start I/O by itself.
        self._session = AsyncSession(
            sync_session_class=ReadOnlyRoutingSession, **{"expire_on_commit": False, **options}
        )

    @property
    def region(self) -> Region | None:
        """Where statements go that name no region by themselves."""
        return self._sync.region

    @property
    def token(self) -> Token:
        """What reads must see."""
        return self._sync.token

    @overload
    async def execute(
        self,
        statement: Select[*_Ts] | CompoundSelect[*_Ts] | FromStatement[*_Ts],
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Result[*_Ts]: ...

    @overload
    async def execute(
        self,
        statement: TextClause,
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Result[*tuple[Any, ...]]: ...

    async def execute(
        self,
        statement: Any,
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Any:
        """Execute a statement that reads, and return its rows."""
        return await self._session.execute(statement, params, execution_options=execution_options)

    async def rows(
        self,
        statement: Select[*tuple[Any, ...]],
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Sequence[Sequence[Any]]:
        """Return all rows of a statement, without names; see `RoutingSession.rows`."""
        return await self.run_sync(
            ReadSession.rows, statement, params, execution_options=execution_options
        )

    async def scalars(
        self,
        statement: Select[_T] | CompoundSelect[_T] | FromStatement[_T],
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> ScalarResult[_T]:
        """Return the first column of all rows."""
        return await self._session.scalars(statement, params, execution_options=execution_options)

    async def scalar(
        self,
        statement: Select[_T] | CompoundSelect[_T] | FromStatement[_T],
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> _T | None:
        """Return the first column of the first row; None: there is no row."""
        return await self._session.scalar(statement, params, execution_options=execution_options)

    async def get(self, entity: type[_T], ident: UUID, **options: Any) -> _T | None:
        """Return the row of an id; None: there is none."""
        return await self._session.get(entity, ident, **options)

    async def get_one(self, entity: type[_T], ident: UUID, **options: Any) -> _T:
        """Return the row of an id.

        Raises:
            sqlalchemy.exc.NoResultFound: there is none.
        """
        return await self._session.get_one(entity, ident, **options)

    async def refresh(self, row: object, attribute_names: Sequence[str] | None = None) -> None:
        """Read a row again."""
        await self._session.refresh(row, attribute_names)

    async def run_sync(
        self,
        function: Callable[Concatenate[ReadSession, _P], _T],
        *arguments: _P.args,
        **options: _P.kwargs,
    ) -> _T:
        """Call a function with a synchronous read session, as `AsyncSession.run_sync` does."""
        return await self._session.run_sync(
            lambda _: function(ReadSession(through=self._sync), *arguments, **options)
        )

    def explain_route(self, statement: Any, params: Any = None, **options: Any) -> str:
        """Return where a statement would go, and why; see `RoutingSession.explain_route`."""
        return self._sync.explain_route(statement, params, **options)

    async def close(self) -> None:
        """End the unit of work, and let go of all rows."""
        await self._session.close()

    @property
    def _sync(self) -> RoutingSession:
        session = self._session.sync_session
        if not isinstance(session, RoutingSession):
            raise TypeError(session)
        return session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.__aexit__(kind, error, trace)
