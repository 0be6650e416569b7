"""Lists: what they hold is one thing, where they are read another.

Each operation that lists something returns a `Listing`, which is read a page at a time: by a
session, from the node that it finds, or from all shards at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Row, Select

from elearning.errors import ElearningError
from elearning.regions import Region
from elearning.routing import (
    Consistency,
    Engines,
    OnShardError,
    Page,
    Reader,
    Token,
    fan_out_page,
    fan_out_page_async,
    page_of,
)

__all__ = ["ItemPage", "Listing"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ItemPage(Generic[T]):
    """A page of a list.

    Attributes:
        items: what is on it.
        next: where the next page begins, fit for a URL; None: this is the last one.
        missing: why shards are not in it; only with ``on_shard_error="partial"``.
    """

    items: Sequence[T]
    next: str | None
    missing: Mapping[str, ElearningError] = field(default_factory=dict)


def _first(row: Row[*tuple[Any, ...]]) -> Any:
    return row[0]


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list that is read page by page.

    ::

        page = list_users(status="active").page(session, size=20)
        page = await session.run_sync(list_users().page, size=20, after=page.next)
        page = await list_users().everywhere_async(engines, size=20)

    Attributes:
        statement: a SELECT in an order; one row of its first table makes one item.
        read: makes an item of a row; the default takes its first column.
        region: where all items are; None: the ids in the list tell, or they are anywhere.
    """

    statement: Select[*tuple[Any, ...]]
    read: Callable[[Row[*tuple[Any, ...]]], T] = _first
    region: Region | None = None

    def page(self, session: Reader, *, size: int = 50, after: str | None = None) -> ItemPage[T]:
        """Return a page of one shard: that of the ids in the list, or else the session's.

        Args:
            session: a session.
            size: how many items at most, 1 to 1000.
            after: what the page before gave as `next`; None: the first page.

        Raises:
            InvalidText: the size is wrong.
            InvalidPage: the cursor is damaged, or of another list.
        """
        return self._items(
            page_of(session, self.statement, size=size, after=after, region=self.region)
        )

    def everywhere(
        self,
        engines: Engines,
        *,
        size: int = 50,
        after: str | None = None,
        consistency: Consistency | str = Consistency.SESSION,
        token: Token | str | None = None,
        on_shard_error: OnShardError = "raise",
    ) -> ItemPage[T]:
        """Return a page of what is on all shards; its items are detached.

        Args:
            engines: of all shards.
            size: see `page`.
            after: see `page`.
            consistency: see `fan_out`.
            token: see `fan_out`.
            on_shard_error: see `fan_out`.

        Raises:
            InvalidText, InvalidPage: see `page`.
            NodeUnavailable: a shard does not answer.
        """
        return self._items(
            fan_out_page(
                engines,
                self.statement,
                size=size,
                after=after,
                shards=self._shards(engines),
                consistency=consistency,
                token=token,
                on_shard_error=on_shard_error,
            )
        )

    async def everywhere_async(
        self,
        engines: Engines,
        *,
        size: int = 50,
        after: str | None = None,
        consistency: Consistency | str = Consistency.SESSION,
        token: Token | str | None = None,
        on_shard_error: OnShardError = "raise",
    ) -> ItemPage[T]:
        """Do as `everywhere` with asynchronous engines."""
        return self._items(
            await fan_out_page_async(
                engines,
                self.statement,
                size=size,
                after=after,
                shards=self._shards(engines),
                consistency=consistency,
                token=token,
                on_shard_error=on_shard_error,
            )
        )

    def _shards(self, engines: Engines) -> list[str] | None:
        return None if self.region is None else [engines.home(self.region)]

    def _items(self, page: Page) -> ItemPage[T]:
        return ItemPage([self.read(row) for row in page.rows], page.next, page.rows.errors)
