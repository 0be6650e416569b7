"""Loader options whose rows are on the shard of the row that they are loaded for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, FromClause, Select, inspect
from sqlalchemy.orm import Load, RelationshipProperty

from elearning.errors import NotMergeable
from elearning.routing.fanout.locality import Locality
from elearning.routing.fanout.schema import Standing, standing_beside

__all__ = ["check_options"]

_LOADS_NOTHING = {"raise", "raise_on_sql", "noload"}


def check_options(statement: Select[Any], locality: Locality) -> None:
    """Check what is loaded along with a statement's rows.

    Raises:
        NotMergeable: related rows may be on other shards, or the option is not known.
    """
    for option in statement._with_options:  # noqa: SLF001 - there is no public name
        if isinstance(option, Load):
            for element in option.context:
                strategy = dict(element.strategy or ())
                if element._extra_criteria:  # noqa: SLF001 - there is no public name
                    raise NotMergeable(reason="a loader option with and_() is not looked into")
                if strategy.get("lazy") not in _LOADS_NOTHING:
                    _check_path(element.path.path, strategy.get("lazy") == "joined", locality)
        elif dict(getattr(option, "strategy", None) or ()).get("lazy") not in _LOADS_NOTHING:
            raise NotMergeable(reason=f"the option {type(option).__name__} is not looked into")


def _check_path(path: tuple[Any, ...], joined: bool, locality: Locality) -> None:  # noqa: FBT001
    standing: Standing | None = locality.standing.get(_source(path[0]))
    steps = [step for step in path if isinstance(step, RelationshipProperty)]
    for step in steps:
        found = [
            standing_beside(standing, mine, other)
            for mine, other in step.local_remote_pairs or ()
            if standing is not None and isinstance(mine, Column) and isinstance(other, Column)
        ]
        standing = max((each for each in found if each is not None), default=None)
        if standing is None or step.secondary is not None:
            raise NotMergeable(
                reason=f"{step} would be loaded without the rows of other shards; "
                "ask for them in a statement of their own"
            )
    if joined and steps and steps[-1].uselist:
        raise NotMergeable(
            reason=f"{steps[-1]} is loaded by a join, which repeats rows; use selectinload"
        )


def _source(entity: Any) -> FromClause:
    selectable: FromClause = inspect(entity).selectable
    return selectable
