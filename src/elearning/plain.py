"""Rows, results and documents as plain dictionaries, and as JSON.

::

    to_dict(user)                                    # its columns, as Python has them
    to_dict(user, "id", "profile.city", json=True)   # these two, as JSON has them
    to_dict(page, "next", "items.id", "items.title")
    to_dicts(session.execute(statement), "title")

It reads what is there: no statement is run, and nothing is loaded. A class says by ``__secret__``
what is never shown, by ``__internal__`` what is nobody's business, and by ``__by_name__`` what is
shown only where it is asked for.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, cached_property, lru_cache
from inspect import getattr_static
from json import dumps
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Row, inspect
from sqlalchemy.orm import InstanceState, Mapper

from elearning.errors import ElearningError, FieldNotLoaded, NotPlain, SecretField, UnknownField

__all__ = ["is_secret", "to_dict", "to_dicts"]

ALL = "*"
"""In place of a name: all that is shown without any."""

_SECRET = re.compile(r"(?:.*_)?(?:password|token|secret)(?:_hash)?(?:_\d+)?", re.IGNORECASE)
_REMEDY_COLUMN = "refresh the row, or read this column with it"
_REMEDY_RELATION = "read it with the row, by options(selectinload(…)) or joinedload"

_Choice = dict[str, "_Choice"]
_DEFAULT: _Choice = {ALL: {}}


@lru_cache(4096)
def is_secret(name: str) -> bool:
    """Tell whether a name alone makes a field a secret: passwords, tokens, and their hashes.

    Also as a label of SQL calls it: ``users_password_hash``, ``token_hash_1``.
    """
    return _SECRET.fullmatch(name) is not None


def to_dict(value: Any, *fields: str, json: bool = False) -> dict[str, Any]:
    """Return a row, a result or a document as a dictionary.

    Args:
        value: a model, a dataclass, a `Row`, a document, or a mapping.
        *fields: what to show, in this order. A dot leads inside: ``"profile.city"``, and in a
            list to each item. ``"*"`` stands for what is shown without any names: all that is
            loaded, and properties such as `Course.price`, but neither relations nor secrets.
        json: whether to use the types of JSON alone: ISO 8601 for times (in UTC where they know
            it), texts for Decimal and UUID, hexadecimal for bytes.

    Raises:
        UnknownField: there is no such field.
        SecretField: it is shown to nobody.
        FieldNotLoaded: it would have to be read from the database.
        NotPlain: the value is something else, or holds something else.
    """
    shown = _plain(value, _chosen(fields), json)
    if not isinstance(shown, dict):
        raise NotPlain(what=_name(value), problem="expected a row, a result or a document")
    return shown


def to_dicts(values: Iterable[Any], *fields: str, json: bool = False) -> list[dict[str, Any]]:
    """Do as `to_dict` with each of several."""
    return [to_dict(value, *fields, json=json) for value in values]


def _chosen(fields: Sequence[str]) -> _Choice:
    if not fields:
        return _DEFAULT
    choice: _Choice = {}
    for path in fields:
        if not isinstance(path, str):
            raise UnknownField(what="a dictionary", field=_cut(path), known="names as texts")
        *outer, last = path.split(".")
        branch = choice
        for name in outer:
            if name == ALL:
                raise UnknownField(what="a dictionary", field=_cut(path), known='"*" at the end')
            branch = branch.setdefault(name, {})
        branch = branch.setdefault(last, {})
        if last != ALL:
            branch[ALL] = {}
    return choice


class _Shape:
    """What things of one class consist of.

    Args:
        name: of the class, for messages.
        stored: fields that are shown where they are loaded.
        computed: properties, which are shown where what they need is loaded.
        relations: shown where they are asked for.
        secret: never shown.
        by_name: other fields that are shown where they are asked for.
    """

    def __init__(
        self,
        name: str,
        stored: Iterable[str],
        computed: Iterable[str] = (),
        relations: Iterable[str] = (),
        *,
        secret: frozenset[str] = frozenset(),
        by_name: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.computed = frozenset(computed)
        self._secret = secret
        own = [each for each in (*stored, *computed) if not self.hides(each)]
        self.defaults = tuple(each for each in own if each not in by_name)
        self.known = dict.fromkeys([*own, *relations])

    def hides(self, name: str) -> bool:
        return name in self._secret or is_secret(name)


@dataclasses.dataclass(frozen=True, slots=True)
class _Thing:
    """A row, result or document: what it consists of, what of that is there, how it is read."""

    shape: _Shape
    present: Callable[[str], bool]
    read: Callable[[str], Any]

    def shown(self, choice: _Choice, json: bool) -> dict[str, Any]:  # noqa: FBT001 - our own
        result: dict[str, Any] = {}
        for name, inside in choice.items():
            if name == ALL:
                for each in filter(self.present, self.shape.defaults):
                    if each not in choice:
                        result[each] = _plain(self.read(each), _DEFAULT, json)
            else:
                result[name] = _plain(self._asked(name), inside, json)
        return result

    def _asked(self, name: str) -> Any:
        if self.shape.hides(name):
            raise SecretField(what=self.shape.name, field=_cut(name))
        if name not in self.shape.known:
            known = ", ".join(self.shape.known)[:1000]
            raise UnknownField(what=self.shape.name, field=_cut(name), known=known)
        return self.read(name)


def _plain(value: Any, choice: _Choice, json: bool) -> Any:  # noqa: FBT001, PLR0911 - our own
    if value is None:
        return None
    if type(value) in _ATOMS:
        return _atom(value, choice, json)
    thing = _thing(value)
    if thing is not None:
        return thing.shown(choice, json)
    if isinstance(value, Mapping):
        return _mapping(value, choice, json)
    if isinstance(value, AbstractSet):
        # A set has no order, and equal ones are shown alike.
        return sorted((_plain(each, choice, json) for each in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return [_plain(each, choice, json) for each in value]
    return _atom(value, choice, json)


def _atom(value: Any, choice: _Choice, json: bool) -> Any:  # noqa: FBT001 - our own
    if choice is not _DEFAULT:
        inner = next((name for name in choice if name != ALL), None)
        if inner is not None:
            raise UnknownField(what=_name(value), field=_cut(inner), known="nothing, it is no row")
    return _leaf(value, json)


def _mapping(value: Mapping[Any, Any], choice: _Choice, json: bool) -> dict[Any, Any]:  # noqa: FBT001
    names = tuple(key for key in value if isinstance(key, str) and not isinstance(key, Enum))
    if choice is not _DEFAULT and choice.keys() != {ALL}:
        shape = _Shape("a dictionary", names)
        return _Thing(shape, value.__contains__, value.__getitem__).shown(choice, json)
    result = {}
    for key, each in value.items():
        if isinstance(key, str) and is_secret(key):
            continue
        name = None if key is None else _leaf(key, json)
        # As json.dumps would have it: "null", "true", "1".
        result[dumps(name) if json and not isinstance(name, str) else name] = _plain(
            each, _DEFAULT, json
        )
    return result


def _leaf(value: Any, json: bool) -> Any:  # noqa: FBT001 - our own
    if isinstance(value, Enum):
        return _leaf(value.value, json)
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    if isinstance(value, float):
        # JSON has no numbers that are not finite; PostgreSQL shows them as texts, too.
        finite = value - value == 0
        return value if finite or not json else _INFINITE.get(value, "NaN")
    if not isinstance(value, Decimal | UUID | date | time | timedelta | bytes):
        raise NotPlain(what=_name(value), problem="it is neither a row nor a value of a column")
    return _JSON[_kind(value)](value) if json else value


# Most values are one of these, and need no look at what else they might be.
_ATOMS = frozenset({str, int, bool, float, Decimal, UUID, datetime, date, bytes})
_MICROSECOND = timedelta(microseconds=1)
_INFINITE = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
_JSON: dict[type, Callable[[Any], str]] = {
    Decimal: lambda value: format(value, "f"),
    UUID: str,
    datetime: lambda value: (value if value.tzinfo is None else value.astimezone(UTC)).isoformat(),
    date: date.isoformat,
    time: time.isoformat,
    timedelta: lambda value: f"PT{Decimal(value // _MICROSECOND).scaleb(-6).normalize():f}S",
    bytes: bytes.hex,
}


def _kind(value: object) -> type:
    return next(kind for kind in _JSON if isinstance(value, kind))


def _thing(value: Any) -> _Thing | None:
    if isinstance(value, Row):
        return _row(value)
    if isinstance(value, ElearningError):
        told = {"error": type(value).__name__, "message": str(value)}
        return _Thing(_Shape(_name(value), tuple(told)), told.__contains__, told.__getitem__)
    if isinstance(value, BaseModel):
        return _attributes(_shape_of_document(type(value)), value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _attributes(_shape_of_dataclass(type(value)), value)
    state = inspect(value, raiseerr=False)
    return _entity(state) if isinstance(state, InstanceState) else None


def _attributes(shape: _Shape, value: object) -> _Thing:
    return _Thing(shape, lambda _: True, lambda name: getattr(value, name))


def _row(row: Row[*tuple[Any, ...]]) -> _Thing:
    names = row._fields
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise NotPlain(what="a row", problem=f"two columns are called {twice!r}, label them")
    values = row._mapping  # noqa: SLF001 - public by its documentation, as is _fields
    return _Thing(_shape_of_names(names), lambda _: True, values.__getitem__)


def _entity(state: InstanceState[Any]) -> _Thing:
    shape = _shape_of_model(state.mapper)
    loaded = _Loaded(state)

    def present(name: str) -> bool:
        if name not in shape.computed:
            return name in state.dict
        try:
            getattr(loaded, name)
        except FieldNotLoaded:
            return False
        return True

    return _Thing(shape, present, lambda name: getattr(loaded, name))


class _Loaded:
    """A row as its properties see it: what is not loaded raises, in place of a statement."""

    def __init__(self, state: InstanceState[Any]) -> None:
        self.__state = state

    def __getattr__(self, name: str) -> Any:
        state = self.__state
        if name in state.dict:
            return state.dict[name]
        mapper = state.mapper
        if name in mapper.all_orm_descriptors:
            remedy = _REMEDY_RELATION if name in mapper.relationships else _REMEDY_COLUMN
            raise FieldNotLoaded(what=mapper.class_.__name__, field=name, remedy=remedy)
        attribute = getattr_static(mapper.class_, name)
        bind = getattr(type(attribute), "__get__", None)
        return attribute if bind is None else bind(attribute, self, mapper.class_)


@lru_cache(256)
def _shape_of_names(names: tuple[str, ...]) -> _Shape:
    return _Shape("a row", names)


@cache
def _shape_of_model(mapper: Mapper[Any]) -> _Shape:
    cls = mapper.class_
    internal = _set(cls, "internal")
    return _Shape(
        cls.__name__,
        [each.key for each in mapper.column_attrs if each.key not in internal],
        _properties(cls),
        [each.key for each in mapper.relationships],
        secret=_set(cls, "secret"),
        by_name=_set(cls, "by_name"),
    )


@cache
def _shape_of_dataclass(cls: type[Any]) -> _Shape:
    fields = dataclasses.fields(cls)
    # What is left out of the repr is so for a reason.
    quiet = frozenset(field.name for field in fields if not field.repr)
    names = [field.name for field in fields if not field.name.startswith("_")]
    return _Shape(cls.__name__, names, _properties(cls), secret=_set(cls, "secret") | quiet)


@cache
def _shape_of_document(cls: type[BaseModel]) -> _Shape:
    internal = _set(cls, "internal")
    return _Shape(
        cls.__name__,
        [name for name in cls.model_fields if name not in internal],
        list(cls.model_computed_fields),
        secret=_set(cls, "secret"),
        by_name=_set(cls, "by_name"),
    )


def _set(cls: type[Any], kind: str) -> frozenset[str]:
    return frozenset(getattr(cls, f"__{kind}__", ()))


def _properties(cls: type[Any]) -> list[str]:
    found = {
        name: None
        for each in reversed(cls.__mro__)
        for name, value in vars(each).items()
        if isinstance(value, property | cached_property) and not name.startswith("_")
    }
    return list(found)


def _name(value: object) -> str:
    return type(value).__name__


def _cut(name: object) -> str:
    return str(name)[:80]
