"""What is checked before MongoDB is asked: whole documents, single fields, ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from inspect import isclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError

from elearning.documents.client import mongo_errors
from elearning.errors import InvalidDocument, UnknownField
from elearning.ids import parse_id, region_of

__all__ = ["checked", "checked_changes", "checked_ids", "valid"]

M = TypeVar("M", bound=BaseModel)


@contextmanager
def valid(document: str, field: str = "") -> Iterator[None]:
    """Raise what a model or MongoDB's driver refuses as our own errors.

    Args:
        document: its name in the message.
        field: where in it the model stands.
    """
    try:
        with mongo_errors():
            yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(each) for each in (*([field] if field else []), *first["loc"]))
        raise InvalidDocument(
            document=document, field=where[:200] or "as a whole", problem=first["msg"][:300]
        ) from None


_MOST = {"preferences": 100_000, "learning": 100_000}
"""Characters of JSON; what comes with a new user has the same end."""


def checked(document: str, model: type[M], values: object) -> M:
    """Return values as a model; one that is given is checked again, and copied.

    Raises:
        InvalidDocument: the model refuses them.
    """
    with valid(document):
        made = model.model_validate(_unmade(values))
        _bounded(document, "as a whole", made.model_dump_json())
    return made


def _bounded(document: str, field: str, text: str | bytes) -> None:
    most = _MOST.get(document)
    if most is not None and len(text) > most:
        problem = f"{len(text)} characters of JSON, expected at most {most}"
        raise InvalidDocument(document=document, field=field, problem=problem)


def _unmade(value: object) -> object:
    """Return what a model was made of, for it may have been changed since."""
    if isinstance(value, BaseModel):
        return value.model_dump(warnings=False)
    if isinstance(value, list | tuple):
        return [_unmade(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _unmade(each) for key, each in value.items()}
    return value


def checked_changes(
    document: str, model: type[BaseModel], changes: Mapping[str, object], *, under: str = ""
) -> dict[str, Any]:
    """Return single fields as they are stored, by their paths such as ``learning.learning_pace``.

    Args:
        document: its name in the message.
        model: what the document consists of.
        changes: the fields.
        under: the path of the model in the document.

    Raises:
        UnknownField: the model has no such field.
        InvalidDocument: the model refuses a value, or there is none.
    """
    if not changes:
        raise InvalidDocument(document=document, field="changes", problem="there are none")
    stored = {}
    for path, value in changes.items():
        adapters = _adapters(model)
        if path not in adapters:
            known = ", ".join(adapters)
            raise UnknownField(what=document, field=str(path)[:80], known=known)
        adapter = adapters[path]
        with valid(document, path):
            made = adapter.validate_python(_unmade(value))
            stored[f"{under}{path}"] = adapter.dump_python(made)
            _bounded(document, path, adapter.dump_json(made))
    return stored


@cache
def _adapters(model: type[BaseModel]) -> dict[str, TypeAdapter[Any]]:
    found: dict[str, TypeAdapter[Any]] = {}
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        # With its limits, which Pydantic keeps beside the type.
        found[name] = TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)
        if isclass(kind) and issubclass(kind, BaseModel):
            found |= {f"{name}.{path}": each for path, each in _adapters(kind).items()}
    return found


def checked_ids(document: str, **ids: UUID | str) -> list[UUID]:
    """Return ids of things that belong together, so that they are of one region.

    Raises:
        InvalidId: one is no id.
        InvalidDocument: one is of another region than the first.
    """
    parsed = {name: parse_id(each) for name, each in ids.items()}
    first, *others = parsed
    for name in others:
        if region_of(parsed[name]) is not region_of(parsed[first]):
            problem = f"{parsed[name]} is of another region than {first} {parsed[first]}"
            raise InvalidDocument(document=document, field=name, problem=problem)
    return list(parsed.values())
