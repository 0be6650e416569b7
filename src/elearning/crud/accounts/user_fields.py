"""What is told about an account and its owner, checked one field after the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypedDict

from elearning.errors import InvalidText
from elearning.text import checked_text

__all__ = [
    "ProfileFields",
    "checked_fields",
    "checked_profile",
]

_LONGEST = {
    "password_hash": 500,
    "country": 2,
    "first_name": 100,
    "last_name": 100,
    "phone_number": 32,
    "subdivision": 100,
    "city": 100,
    "bio": 10_000,
    "avatar_url": 2_000,
    "locale": 35,
    "time_zone": 64,
}
_REQUIRED = {"first_name", "last_name", "locale", "time_zone"}


class ProfileFields(TypedDict, total=False):
    """The fields of a profile; what is left out stays as it is."""

    phone_number: str | None
    date_of_birth: date | None
    country: str | None
    subdivision: str | None
    city: str | None
    bio: str | None
    avatar_url: str | None
    locale: str
    time_zone: str


def checked_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of an account and its profile as they are stored.

    Args:
        values: by their names; others than those known here are left out.

    Raises:
        InvalidText: what was wrong.
    """
    checked = {
        name: checked_text(name, values[name], most=most)
        if values[name] is not None or name in _REQUIRED
        else None
        for name, most in _LONGEST.items()
        if name in values
    }
    password_hash, country = checked.get("password_hash"), checked.get("country")
    if password_hash is not None and not password_hash.startswith("$"):
        raise InvalidText(field="password_hash", problem="is no PHC string: hash the password")
    if country is not None and not re.fullmatch("[A-Z]{2}", country):
        raise InvalidText(field="country", problem="expected two capitals (ISO 3166-1)")
    if "date_of_birth" in values:
        born = values["date_of_birth"]
        if born is not None and (not isinstance(born, date) or isinstance(born, datetime)):
            raise InvalidText(field="date_of_birth", problem="is no datetime.date")
        return {**checked, "date_of_birth": born}
    return dict(checked)


def checked_profile(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a profile as they are stored.

    Raises:
        InvalidText: what was wrong, or there is no such field.
    """
    known = ProfileFields.__annotations__
    for name in fields:
        if name not in known:
            raise InvalidText(field=name, problem=f"is none of {', '.join(known)}")
    return checked_fields(fields)
