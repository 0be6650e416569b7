"""What is known of a statement: found once for all statements of its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Insert
from sqlalchemy.sql.cache_key import CacheKey
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.lambdas import LambdaElement

from elearning.routing.naming import (
    Names,
    Parameters,
    ids_in,
    inserted_ids,
    names_of,
    reads_copies,
)
from elearning.routing.reading import obstacle

__all__ = ["Form", "form_of", "ids_of", "literals_of"]

_MOST = 2000  # forms that are remembered; SQLAlchemy's own cache keeps 500 for each engine
_NOTHING: dict[str, Any] = {}
_ONE_ROW = (dict, Mapping)  # to tell a dict takes no time, to tell a Mapping does
_KEPT = "_elearning_form"  # an attribute of statements


class Form(NamedTuple):
    """What all statements of one form have in common."""

    obstacle: str | None
    """What keeps them from being known to read."""
    names: Names
    """Where they name ids."""
    near: bool = False
    """Whether they read nothing but what is copied to every shard."""
    binds: Sequence[BindParameter[Any]] = ()
    """The parameters of this one, in the order of all of them."""
    kept: dict[Any, Any] | None = None
    """What others have found out about all of them; None: nothing is kept."""


_known: dict[tuple[Any, ...], tuple[str | None, Any, bool, dict[Any, Any]]] = {}


def form_of(statement: Any) -> Form:
    """Return what is known of a statement."""
    kept = getattr(statement, "__dict__", _NOTHING).get(_KEPT)
    # One that was copied along into another statement belongs to another key.
    if kept is not None and kept[0] is statement._generate_cache_key():  # noqa: SLF001 - there is no public name
        return kept[1]  # type: ignore[no-any-return]
    if isinstance(statement, LambdaElement):
        resolved = statement._resolved  # noqa: SLF001 - as above
        return _form(resolved)
    if isinstance(statement, Insert) or not hasattr(statement, "_generate_cache_key"):
        return Form(obstacle(statement), ())
    # SQLAlchemy needs the key as well, and keeps it with the statement.
    key: CacheKey | None = statement._generate_cache_key()  # noqa: SLF001 - as above
    if key is None:
        return _form(statement)
    form = _remembered(statement, key)
    statement.__dict__[_KEPT] = (key, form)
    return form


def _remembered(statement: Any, key: CacheKey) -> Form:
    known = _known.get(key.key)
    if known is None:
        form = _form(statement)
        places = _places(form.names, key.bindparams)
        if places is None:
            return form
        if len(_known) >= _MOST:
            _known.clear()
        _known[key.key] = known = (form.obstacle, places, form.near, {})
    obstacle, places, near, kept = known
    names = _names(places, key.bindparams) if places else ()
    return Form(obstacle, names, near, key.bindparams, kept)


def _form(statement: Any) -> Form:
    found = obstacle(statement)
    return Form(found, names_of(statement), found is None and reads_copies(statement))


def ids_of(statement: Any, form: Form, parameters: Parameters) -> list[set[UUID]]:
    """Return the ids that a statement names; a row has to be where each of the sets says."""
    if isinstance(statement, Insert):
        return [inserted_ids(statement, parameters)]
    if not form.names:
        return []
    if not parameters:
        return ids_in(form.names, (_NOTHING,))
    return ids_in(form.names, (parameters,) if isinstance(parameters, _ONE_ROW) else parameters)


def literals_of(binds: Sequence[BindParameter[Any]]) -> tuple[Any, ...] | None:
    """Return the values that stand in the SQL itself, where statements of one form may differ.

    None: they are of types whose values may look alike.
    """
    found = [bind for bind in binds if bind.literal_execute]
    values = [bind.effective_value for bind in found]
    if not all(type(each) in _TOLD_APART or isinstance(each, Enum) for each in values):
        return None
    return tuple([(type(each), each) for each in values])


_TOLD_APART = {bool, int, str, UUID, type(None)}


def _places(names: Names, binds: Sequence[BindParameter[Any]]) -> Any:
    """Return the names as places in a list of parameters; None: one is not in it."""
    found: list[Any] = []
    for name in names:
        place: Any
        if isinstance(name, BindParameter):
            place = next((n for n, bind in enumerate(binds) if bind is name), None)
        else:
            parts = [_places(part, binds) for part in name]
            place = None if None in parts else tuple(parts)
        if place is None:
            return None
        found.append(place)
    return tuple(found)


def _names(places: Any, binds: Sequence[BindParameter[Any]]) -> Names:
    return tuple(
        [
            binds[place] if isinstance(place, int) else tuple(_names(part, binds) for part in place)
            for place in places
        ]
    )
