"""Sessions that only read, as types of their own: what writes does not take them.

They have no ``add``, ``flush`` or ``commit``, so a type checker refuses these, and a
function that is annotated with `Session` or `RoutingSession`. At run time a flush of a row that
was changed in spite of that is refused too, and so is DML. A statement that may or may not write
(text, an unknown function) runs on the primary, in a READ ONLY transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple, overload
from uuid import UUID

from sqlalchemy import (
    CompoundSelect,
    Delete,
    Engine,
    Insert,
    Result,
    ScalarResult,
    Select,
    Update,
    inspect,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import FromStatement, Session
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.util import EMPTY_DICT

from elearning.errors import ReadOnlySession
from elearning.regions import Region
from elearning.routing.session import RoutingSession
from elearning.routing.token import Token

__all__ = ["ReadOnlyRoutingSession", "ReadSession", "Reader"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_READ_ONLY_TRANSACTION = "25006"  # PostgreSQL manual, appendix A


class ReadOnlyRoutingSession(RoutingSession):
    """What runs the statements of a read session; ``object_session`` returns it."""

    def _run(
        self, run: Callable[..., Any], statement: Any, params: Any, options: dict[str, Any]
    ) -> Any:
        if isinstance(statement, Insert | Update | Delete):
            raise ReadOnlySession(what=f"execute {type(statement).__name__.upper()}")
        try:
            return super()._run(run, statement, params, options)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _READ_ONLY_TRANSACTION:
                raise ReadOnlySession(what="write, as this statement does") from error
            raise

    def _pin(self, shard: str) -> None:
        self._work.primaries.setdefault(shard, None)

    def _primary(self, shard: str) -> Engine:
        return self._nodes.primary(shard).read_only

    def _pin_rows(self, rows: Any) -> None:
        for row in rows:
            raise ReadOnlySession(what=f"write {row!r}")

    def _lead_values(self, mapper: Any, mappings: Any) -> None:
        for _ in mappings:
            raise ReadOnlySession(what=f"write rows of {inspect(mapper).class_.__name__}")


class ReadSession:
    """Reads over all shards.

    ::

        with ReadSession(engines=engines, region="europe") as session:
            user = session.get_one(User, user_id)

    Args:
        through: a session that there is already.
        **options: those of `RoutingSession`.
    """

    def __init__(self, *, through: RoutingSession | None = None, **options: Any) -> None:
        self._session = ReadOnlyRoutingSession(**options) if through is None else through

    @property
    def region(self) -> Region | None:
        """Where statements go that name no region by themselves."""
        return self._session.region

    @property
    def token(self) -> Token:
        """What reads must see."""
        return self._session.token

    @overload
    def execute(
        self,
        statement: Select[*_Ts] | CompoundSelect[*_Ts] | FromStatement[*_Ts],
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Result[*_Ts]: ...

    @overload
    def execute(
        self,
        statement: TextClause,
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Result[*tuple[Any, ...]]: ...

    def execute(
        self,
        statement: Any,
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Any:
        """Execute a statement that reads, and return its rows."""
        return self._session.execute(statement, params, execution_options=execution_options)

    def rows(
        self,
        statement: Select[*tuple[Any, ...]],
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> Sequence[Sequence[Any]]:
        """Return all rows of a statement, without names; see `RoutingSession.rows`."""
        return self._session.rows(statement, params, execution_options=execution_options)

    def scalars(
        self,
        statement: Select[_T] | CompoundSelect[_T] | FromStatement[_T],
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> ScalarResult[_T]:
        """Return the first column of all rows."""
        return self._session.scalars(statement, params, execution_options=execution_options)

    def scalar(
        self,
        statement: Select[_T] | CompoundSelect[_T] | FromStatement[_T],
        params: Any = None,
        *,
        execution_options: Mapping[str, Any] = EMPTY_DICT,
    ) -> _T | None:
        """Return the first column of the first row; None: there is no row."""
        return self._session.scalar(statement, params, execution_options=execution_options)

    def get(self, entity: type[_T], ident: UUID, **options: Any) -> _T | None:
        """Return the row of an id; None: there is none."""
        return self._session.get(entity, ident, **options)

    def get_one(self, entity: type[_T], ident: UUID, **options: Any) -> _T:
        """Return the row of an id.

        Raises:
            sqlalchemy.exc.NoResultFound: there is none.
        """
        return self._session.get_one(entity, ident, **options)

    def refresh(self, row: object, attribute_names: Sequence[str] | None = None) -> None:
        """Read a row again."""
        self._session.refresh(row, attribute_names)

    def expunge(self, row: object) -> None:
        """Let go of a row."""
        self._session.expunge(row)

    def explain_route(self, statement: Any, params: Any = None, **options: Any) -> str:
        """Return where a statement would go, and why; see `RoutingSession.explain_route`."""
        return self._session.explain_route(statement, params, **options)

    def close(self) -> None:
        """End the unit of work, and let go of all rows."""
        self._session.close()

    def __contains__(self, row: object) -> bool:
        return row in self._session

    def __iter__(self) -> Iterator[object]:
        return iter(self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


Reader = Session | ReadSession
"""What a function takes that only reads."""
