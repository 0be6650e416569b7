"""Texts that come from outside: checked, and told."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TypeVar

from elearning.errors import InvalidEmail, InvalidText

__all__ = ["checked_choice", "checked_text", "first_line", "normalize_email"]

# The local part and the domain of the HTML standard's valid e-mail address
# (section 4.10.5.1.5), widened to letters of all scripts, and a dot in the domain.
_EMAIL = re.compile(
    r"[^\s@\x00-\x20\x7f\"(),:;<>\[\]\\\ud800-\udfff]{1,64}"
    r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])?"
)
_Choice = TypeVar("_Choice", bound=StrEnum)
_MAX_EMAIL = 254  # RFC 3696, erratum 1690


def normalize_email(email: str) -> str:
    """Return an address as it is stored: trimmed and in lower case.

    Raises:
        InvalidEmail: not an address, or too long.
    """
    if not isinstance(email, str):
        raise InvalidEmail(email=email)
    address = email.strip().lower()
    if len(address) > _MAX_EMAIL or not _EMAIL.fullmatch(address):
        raise InvalidEmail(email=email[:300])
    return address


def checked_text(field: str, value: str, *, most: int, least: int = 1) -> str:
    """Return a text without the spaces around it.

    Args:
        field: its name in the message.
        value: the text.
        most: the largest number of characters.
        least: the smallest.

    Raises:
        InvalidText: not a text, too short or too long, or with a NUL character
            or half a surrogate pair, which PostgreSQL cannot store.
    """
    if not isinstance(value, str):
        raise InvalidText(field=field, problem=f"is {type(value).__name__}, expected a text")
    text = value.strip()
    if not least <= len(text) <= most:
        raise InvalidText(
            field=field, problem=f"has {len(text)} characters, expected {least} to {most}"
        )
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise InvalidText(field=field, problem="holds a character that cannot be stored")
    return text


def checked_choice(field: str, value: str, choices: type[_Choice]) -> _Choice:
    """Return a value of an enumeration.

    Raises:
        InvalidText: it is none of them.
    """
    try:
        return choices(value)
    except ValueError:
        raise InvalidText(
            field=field, problem=f"{str(value)[:100]!r} is none of {', '.join(choices)}"
        ) from None


def first_line(error: BaseException) -> str:
    """Return the first line of an error, or of the driver's inside it, for our own message."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
