"""Which shard holds the rows that a SELECT puts together.

A statement can be asked of each shard by itself where every row of its result is made
of rows that are together on exactly one shard. Known to be so: rows that share an owner's
id, rows that a foreign key holds together, and rows of the catalog beside the row that
refers to them. All else is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import FromClause, Select
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.selectable import Join

from elearning.errors import NotMergeable
from elearning.routing.fanout.schema import (
    Standing,
    conjuncts,
    equated,
    home_code,
    is_global,
    model_of,
    place_of,
    standing_beside,
    table_of,
    tells_region,
)

__all__ = ["Locality", "Sources", "locate", "names_of_bookkeeping", "settle", "sources_of"]


class Sources(NamedTuple):
    """The tables that a SELECT reads, and what must hold for the rows of each."""

    conditions: dict[FromClause, list[object]]
    """By table; those of an outer join stand beside its right side only."""
    optional: set[FromClause]
    """Tables on the right side of an outer join."""
    joined_on: list[ClauseElement]
    """The conditions of its joins."""


class Locality(NamedTuple):
    """Where the rows of a statement are."""

    sources: Sources
    standing: dict[FromClause, Standing]
    root: FromClause
    """Each row of the result belongs to the shard of this table's row."""

    @property
    def restricted(self) -> FromClause | None:
        """The table of which each shard may show only its own rows: others are copies."""
        return None if home_code(self.root) is None else self.root

    def is_own(self, element: object) -> bool:
        """Tell whether no two shards have the same value of a column, NULL aside."""
        place = place_of(element)
        return (
            place is not None
            and self.standing.get(place.source) is Standing.ANCHORED
            and tells_region(place.column)
        )

    def keeps_whole(self, element: object) -> bool:
        """Tell whether rows that are equal in a column are on one shard."""
        place = place_of(element)
        return (
            self.is_own(element) and place is not None and place.source not in self.sources.optional
        )


def locate(statement: Select[Any]) -> Locality:
    """Find out where the rows of a statement are.

    Raises:
        NotMergeable: they may be on several shards, or the statement reads no table of ours.
    """
    sources = sources_of(statement)
    if not sources.conditions:
        raise NotMergeable(reason="it reads no table, so each shard would answer it again")
    roots = [source for source in sources.conditions if source not in sources.optional]
    roots.sort(key=lambda source: is_global(table_of(source)))
    for root in roots:
        standing = settle(sources, {root: Standing.ANCHORED})
        if len(standing) == len(sources.conditions):
            return Locality(sources, standing, root)
    raise NotMergeable(
        reason=f"rows of {_names(sources.conditions)} that belong together may be on different "
        "shards; join them by the owner's id or by a foreign key, or ask for each by itself"
    )


def sources_of(
    statement: Select[Any],
    *,
    enclosing: Collection[FromClause] = (),
    around: Collection[FromClause] = (),
) -> Sources:
    """Return the tables that a SELECT reads by itself.

    Args:
        statement: the SELECT.
        enclosing: tables of the SELECT that it stands in.
        around: these, and those of the SELECTs further out.

    Raises:
        NotMergeable: it reads from something else than tables, or by a full outer join.
    """
    # An eager loader adds joins of its own; options are looked at elsewhere.
    bare = statement._clone()  # noqa: SLF001 - there is no public way to leave options out
    bare._with_options = ()  # noqa: SLF001
    sources = Sources({}, set(), [])
    where = list(conjuncts(bare.whereclause))
    for source in _own(bare, enclosing, around):
        _walk(source, where, sources, optional=False)
    return sources


def settle(sources: Sources, standing: dict[FromClause, Standing]) -> dict[FromClause, Standing]:
    """Return how all tables stand that can be reached from those that are known."""
    found = dict(standing)
    changed = True
    while changed:
        changed = False
        for source, conditions in sources.conditions.items():
            best = max((_standing(source, each, found) for each in conditions), default=0)
            if best > found.get(source, 0):
                found[source] = Standing(best)
                changed = True
    return found


def _standing(source: FromClause, condition: object, found: dict[FromClause, Standing]) -> int:
    places = equated(condition)
    if places is None:
        return 0
    for mine, other in (places, places[::-1]):
        known = found.get(mine.source)
        if other.source == source and known is not None and mine.source != source:
            return standing_beside(known, mine.column, other.column) or 0
    return 0


def _own(
    statement: Select[Any], enclosing: Collection[FromClause], around: Collection[FromClause]
) -> list[FromClause]:
    """Leave out what a subquery takes from the SELECTs around it, by SQLAlchemy's own rules."""
    sources = list(statement.get_final_froms())
    if statement._correlate:  # noqa: SLF001 - there is no public name
        to = statement._correlate  # noqa: SLF001
        sources = [each for each in sources if not (each in around and each in to)]
    if statement._correlate_except is not None:  # noqa: SLF001
        to = statement._correlate_except  # noqa: SLF001
        sources = [each for each in sources if not (each in around and each not in to)]
    if statement._auto_correlate and len(sources) > 1:  # noqa: SLF001
        sources = [each for each in sources if each not in enclosing]
    return sources


def _walk(source: FromClause, conditions: list[object], into: Sources, *, optional: bool) -> None:
    if isinstance(source, Join):
        on = list(conjuncts(source.onclause))
        if source.onclause is not None:
            into.joined_on.append(source.onclause)
        if source.full:
            raise NotMergeable(reason="a full outer join may pair rows of different shards")
        if source.isouter:
            _walk(source.left, conditions, into, optional=optional)
            _walk(source.right, on, into, optional=True)
        else:
            _walk(source.left, [*conditions, *on], into, optional=optional)
            _walk(source.right, [*conditions, *on], into, optional=optional)
        return
    if table_of(source) is None:
        raise NotMergeable(
            reason=f"it reads from a {_name(source)}, which is no table of elearning.models; a "
            "subquery or CTE would be computed from the rows of each shard alone"
        )
    into.conditions[source] = conditions
    if optional:
        into.optional.add(source)


def names_of_bookkeeping(sources: Iterable[FromClause]) -> list[str]:
    """Return the names of tables whose keys repeat from shard to shard."""
    return [_name(source) for source in sources if model_of(table_of(source)) is None]


def _names(sources: Iterable[FromClause]) -> str:
    return " and ".join(_name(source) for source in sources)


def _name(source: FromClause) -> str:
    table = table_of(source)
    return source.__visit_name__ if table is None else table.name
