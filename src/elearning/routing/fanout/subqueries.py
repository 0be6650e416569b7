"""Subqueries that see on one shard all that they would see on one database.

Such are those whose rows belong to the row that they are computed for: the enrollments
of a user, by the user's id. What they do with those rows, counting say, is theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import FromClause, Select
from sqlalchemy.sql.elements import BinaryExpression, ClauseElement, ColumnElement
from sqlalchemy.sql.operators import in_op, not_in_op
from sqlalchemy.sql.selectable import ScalarSelect

from elearning.errors import NotMergeable
from elearning.routing.fanout.locality import Locality, Sources, settle, sources_of
from elearning.routing.fanout.schema import Place, Standing, place_of
from elearning.routing.fanout.screen import aggregates_in, check_elements, inside

__all__ = ["check_local"]


def check_local(statement: Select[Any], locality: Locality, parameters: Mapping[str, Any]) -> None:
    """Check that all expressions of a statement give on a shard what one database would.

    Args:
        statement: what each shard is asked.
        locality: where its rows are.
        parameters: the values of its parameters.

    Raises:
        NotMergeable: an expression or a subquery may give something else.
    """
    sources = locality.sources
    _check(statement, sources, locality.standing, set(sources.conditions), parameters)


def _check(
    statement: Select[Any],
    sources: Sources,
    standing: Mapping[FromClause, Standing],
    around: Collection[FromClause],
    parameters: Mapping[str, Any],
) -> None:
    tested: dict[Select[Any], tuple[Place, Place]] = {}

    def subquery(inner: Select[Any]) -> None:
        own = sources_of(inner, enclosing=sources.conditions, around=around)
        if not own.conditions:
            raise NotMergeable(reason="a subquery without a table of its own is not understood")
        if inner in tested:
            outer, found = tested[inner]
            if _names_rows(outer, sources) and _names_rows(found, own) and _is_plain(inner):
                own.conditions[found.source] = [*own.conditions[found.source], (outer, found)]
        # A table that it reads by itself hides one of the same name around it.
        outside = {each: how for each, how in standing.items() if each not in own.conditions}
        reached = settle(own, outside)
        if any(source not in reached for source in own.conditions):
            raise NotMergeable(
                reason="a subquery may have to see rows of other shards; tie its rows to the "
                "row that it is computed for, by the owner's id or a foreign key"
            )
        _check_outer_aggregates(inner, own)
        _check(inner, own, reached, {*around, *own.conditions}, parameters)

    for clause in _clauses(statement, sources):
        for part in inside(clause):
            if isinstance(part, BinaryExpression) and part.operator in (in_op, not_in_op):
                _note_test(part, tested)
        check_elements(clause, parameters, subquery)


def _note_test(test: BinaryExpression[Any], tested: dict[Select[Any], tuple[Place, Place]]) -> None:
    """Note which columns IN compares: they tie the subquery's rows to the outer row."""
    inner = test.right.element if isinstance(test.right, ScalarSelect) else None
    if isinstance(inner, Select):
        columns = list(inner.selected_columns)
        outer, found = place_of(test.left), place_of(columns[0]) if len(columns) == 1 else None
        if outer is not None and found is not None:
            tested[inner] = (outer, found)


def _names_rows(place: Place, sources: Sources) -> bool:
    """Tell whether a column is never NULL: NULL IN (…) depends on rows of all shards."""
    return (
        place.source in sources.conditions
        and place.source not in sources.optional
        and not place.column.nullable
    )


def _is_plain(statement: Select[Any]) -> bool:
    """Tell whether a SELECT's rows do not depend on one another."""
    return not (
        statement._limit_clause is not None  # noqa: SLF001 - there are no public names
        or statement._offset_clause is not None  # noqa: SLF001
        or statement._fetch_clause is not None  # noqa: SLF001
        or statement._group_by_clauses  # noqa: SLF001
        or statement._having_criteria  # noqa: SLF001
    )


def _check_outer_aggregates(statement: Select[Any], sources: Sources) -> None:
    """Refuse an aggregate over columns of the outer statement alone: it belongs there."""
    for column in statement._raw_columns:  # noqa: SLF001 - there is no public name
        for aggregate in aggregates_in(column):
            places = [place for part in inside(aggregate) if (place := place_of(part))]
            if places and not any(place.source in sources.conditions for place in places):
                raise NotMergeable(reason="an aggregate of the outer rows stands in a subquery")


def _clauses(statement: Select[Any], sources: Sources) -> list[ClauseElement]:
    """Return all expressions of a SELECT; refuse what changes where it reads from."""
    if statement._for_update_arg is not None:  # noqa: SLF001 - there are no public names
        raise NotMergeable(reason="FOR UPDATE would lock rows only until each shard has answered")
    if statement._independent_ctes:  # noqa: SLF001
        raise NotMergeable(reason="a CTE would be computed from the rows of each shard alone")
    extensions = (getattr(statement, name) for name in statement._position_map.values())  # noqa: SLF001
    if statement._distinct_on or any(each is not None for each in extensions):  # noqa: SLF001
        raise NotMergeable(reason="DISTINCT ON and other extensions of SELECT are not understood")
    hints = (statement._prefixes, statement._suffixes, statement._statement_hints)  # noqa: SLF001
    if any((*hints, statement._hints)):  # noqa: SLF001
        raise NotMergeable(reason="prefixes, suffixes and hints are not understood")
    where = statement.whereclause
    return [
        *sources.joined_on,
        *(
            column
            for column in statement._raw_columns  # noqa: SLF001
            if isinstance(column, ColumnElement) or not isinstance(column, FromClause)
        ),
        *([] if where is None else [where]),
        *statement._group_by_clauses,  # noqa: SLF001
        *statement._having_criteria,  # noqa: SLF001
        *statement._order_by_clauses,  # noqa: SLF001
    ]
