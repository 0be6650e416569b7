"""Checks of what comes from outside, and of what the database refuses."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from elearning.errors import ElearningError, InvalidAmount, InvalidText, StaleEdit, UnknownField
from elearning.models import Global
from elearning.text import checked_text

__all__ = [
    "MOST_INTEGER",
    "Check",
    "checked",
    "checked_slug",
    "flag",
    "flush_edit",
    "hours",
    "moment",
    "one_of",
    "one_uuid",
    "refuse_stale",
    "refusing",
    "slug_of",
    "text_of",
    "whole",
]

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Check = Callable[[str, Any], Any]
MOST_INTEGER = 2**31 - 1


def checked(what: str, checks: Mapping[str, Check], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they are stored.

    Args:
        what: whose they are, for the message.
        checks: by field; each is given the field's name and a value.
        values: by field.

    Raises:
        UnknownField: there is no such field among the checks.
        InvalidInput: what a check says.
    """
    for name in values:
        if name not in checks:
            raise UnknownField(what=what, field=name, known=", ".join(sorted(checks)))
    return {name: checks[name](name, value) for name, value in values.items()}


def text_of(most: int, *, least: int = 1) -> Check:
    """Return a check of a text; see `checked_text`."""
    return lambda field, value: checked_text(field, value, most=most, least=least)


def one_of(kind: type[E]) -> Callable[[str, Any], E]:
    """Return a check of a value of an enumeration, or of its text."""

    def check(field: str, value: Any) -> E:
        try:
            return kind(value)
        except ValueError:
            problem = f"{str(value)[:80]!r} is none of {', '.join(kind)}"
            raise InvalidText(field=field, problem=problem) from None

    return check


def whole(least: int, most: int = MOST_INTEGER) -> Check:
    """Return a check of a whole number, or None."""

    def check(field: str, value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidText(field=field, problem=f"is {type(value).__name__}, expected a number")
        if not least <= value <= most:
            # A number of any length would be written out in the message.
            raise InvalidText(field=field, problem=f"is no number from {least} to {most}")
        return value

    return check


def moment(field: str, value: Any) -> datetime | None:
    """Check a moment with a time zone, or None."""
    if value is None:
        return None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidText(field=field, problem="is no datetime with a time zone")
    return value


def flag(field: str, value: Any) -> bool:
    """Check a yes or no."""
    if not isinstance(value, bool):
        raise InvalidText(field=field, problem=f"is {type(value).__name__}, expected True or False")
    return value


def one_uuid(field: str, value: Any) -> UUID | None:
    """Check a UUID, or None."""
    if value is not None and not isinstance(value, UUID):
        raise InvalidText(field=field, problem=f"is {type(value).__name__}, expected a UUID")
    return value


def hours(field: str, value: Any) -> Decimal | None:
    """Check a number of hours with two decimals at most, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        problem = f"of {field} is {type(value).__name__}, expected a Decimal"
        raise InvalidAmount(amount="", problem=problem)
    # Compared before anything else: 1E+999999 must not be expanded.
    number = Decimal(value)
    if not number.is_finite() or not 0 <= number < _MOST_HOURS or number != round(number, 2):
        problem = f"of {field} is not 0 to {_MOST_HOURS} with two decimals at most"
        raise InvalidAmount(amount=f"{number:.20g}", problem=problem)
    return number


_MOST_HOURS = 10_000


def slug_of(title: str, *, most: int) -> str:
    """Return a title as a part of a URL: small letters and digits of any script, and hyphens.

    Latin letters lose their accents. The result may be empty.
    """
    words: list[str] = []
    for character in unicodedata.normalize("NFC", title):
        if words and words[-1].isascii() and unicodedata.category(character)[0] == "M":
            continue  # one more accent, as in Yoruba
        plain = unicodedata.normalize("NFKD", character)
        kept = plain[0] if plain[0].isascii() and plain[0].isalnum() else character
        # Marks too: in many scripts they are the vowels.
        words.append(kept.lower() if unicodedata.category(kept)[0] in "LMN" else "-")
    return "-".join(filter(None, "".join(words).split("-")))[:most].strip("-")


def checked_slug(most: int) -> Check:
    """Return a check of a slug."""

    def check(field: str, value: Any) -> str:
        text: str = checked_text(field, value, most=most)
        if slug_of(text, most=most) != text:
            problem = f"is no part of a URL: {slug_of(text, most=most)!r} would be"
            raise InvalidText(field=field, problem=problem)
        return text

    return check


@contextmanager
def refusing(**errors: ElearningError) -> Iterator[None]:
    """Raise an error of ours where the database refuses a row.

    Args:
        **errors: by the name of the constraint or the unique index.
    """
    try:
        yield
    except IntegrityError as error:
        diag = getattr(error.orig, "diag", None)
        ours = errors.get(getattr(diag, "constraint_name", None) or "")
        if ours is None:
            raise
        raise ours from error


def refuse_stale(row: Global, row_version: object) -> None:
    """Refuse an edit that was decided on another version of the row; None: on whichever.

    Raises:
        StaleEdit: somebody else has changed it meanwhile.
    """
    if row_version is not None and row_version != row.row_version:
        raise StaleEdit(thing=type(row).__name__, id=row.id)


def flush_edit(session: Session, row: Global, **errors: ElearningError) -> None:
    """Write the changes of a row.

    Args:
        session: that holds it.
        row: that was changed.
        **errors: see `refusing`.

    Raises:
        StaleEdit: somebody else has changed it since it was read.
    """
    thing, row_id = type(row).__name__, row.id
    try:
        with refusing(**errors):
            session.flush()
    except StaleDataError as error:
        raise StaleEdit(thing=thing, id=row_id) from error
