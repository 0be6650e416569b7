"""What a fan-out found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import Row
from sqlalchemy.engine import IteratorResult, Result, RowMapping
from sqlalchemy.engine.result import SimpleResultMetaData

from elearning.errors import ElearningError

__all__ = ["FanOutResult"]


@lru_cache(maxsize=200)  # pages of one statement have it in common
def _metadata_of(names: tuple[str, ...], expressions: tuple[object, ...]) -> SimpleResultMetaData:
    extra = [(each,) for each in expressions] if len(expressions) == len(names) else None
    return SimpleResultMetaData(names, extra=extra)


class FanOutResult:
    """Rows of several shards, all in memory; it can be read again and again.

    Entities are detached: what is not loaded is not loaded later. A row that several
    shards have a copy of (a course) is an object of its own for each.

    Args:
        names: of the columns.
        expressions: what the statement selects; rows are read by these, too.
        rows: the values.
        shards: the shards that answered.
        errors: why others did not.
    """

    def __init__(
        self,
        names: Sequence[str],
        expressions: Sequence[object],
        rows: Sequence[Sequence[Any]],
        *,
        shards: tuple[str, ...],
        errors: Mapping[str, ElearningError],
    ) -> None:
        self.expressions = expressions
        """What was selected."""
        self._metadata = _metadata_of(tuple(names), tuple(expressions))
        self._values = [tuple(row) for row in rows]
        self.shards = shards
        """The shards that answered."""
        self.errors = dict(errors)
        """Why the others did not, by shard; only with ``on_shard_error="partial"``."""

    @property
    def partial(self) -> bool:
        """Whether shards are missing: their rows, counts and sums are not in here."""
        return bool(self.errors)

    def keys(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self._metadata.keys)

    def result(self) -> Result[*tuple[Any, ...]]:
        """Return the rows as a result of SQLAlchemy's, to be read once."""
        return IteratorResult(self._metadata, iter(self._values))

    @cached_property
    def _rows(self) -> Sequence[Row[*tuple[Any, ...]]]:
        return self.result().all()

    def all(self) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return all rows."""
        return list(self._rows)

    def first(self) -> Row[*tuple[Any, ...]] | None:
        """Return the first row, or None."""
        return self._rows[0] if self._rows else None

    def one(self) -> Row[*tuple[Any, ...]]:
        """Return the only row.

        Raises:
            sqlalchemy.exc.NoResultFound: there is none.
            sqlalchemy.exc.MultipleResultsFound: there are several.
        """
        return self.result().one()

    def one_or_none(self) -> Row[*tuple[Any, ...]] | None:
        """Return the only row, or None.

        Raises:
            sqlalchemy.exc.MultipleResultsFound: there are several.
        """
        return self.result().one_or_none()

    def scalars(self) -> Sequence[Any]:
        """Return the first column of all rows."""
        return self.result().scalars().all()

    def scalar_one(self) -> Any:
        """Return the first column of the only row.

        Raises:
            sqlalchemy.exc.NoResultFound: there is none.
            sqlalchemy.exc.MultipleResultsFound: there are several.
        """
        return self.result().scalar_one()

    def mappings(self) -> Sequence[RowMapping]:
        """Return all rows as mappings by name."""
        return self.result().mappings().all()

    def __iter__(self) -> Iterator[Row[*tuple[Any, ...]]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        missing = f", PARTIAL without {', '.join(self.errors)}" if self.partial else ""
        return f"<FanOutResult of {', '.join(self.shards)}: {len(self)} rows{missing}>"
