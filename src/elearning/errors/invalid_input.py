"""The caller's input cannot be right."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = [
    "InvalidAmount",
    "InvalidEmail",
    "InvalidId",
    "InvalidInput",
    "InvalidPage",
    "InvalidText",
    "UnknownCurrency",
    "UnknownRegion",
]


class InvalidInput(ElearningError, ValueError):
    """The caller's input cannot be right, whatever the databases hold."""


class UnknownRegion(InvalidInput):
    """No such region."""

    template = "unknown region {region!r}: expected one of {known}"
    sqlstate = "LE001"


class InvalidId(InvalidInput):
    """Not an id that elearning made: it carries no region."""

    template = "{id} is no elearning id: expected a version 8 UUID whose byte 7 is a region code"


class InvalidEmail(InvalidInput):
    """Not an email address."""

    template = "{email!r} is not an email address: expected name@domain, at most 254 characters"
    sqlstate = "LE002"


class InvalidText(InvalidInput):
    """A text that cannot be stored: empty, too long, or with a NUL character."""

    template = "{field}: {problem}"


class InvalidAmount(InvalidInput):
    """An amount of money or time that is negative, not finite or too precise."""

    template = "amount {amount} {problem}"
    sqlstate = "LE003"


class UnknownCurrency(InvalidInput):
    """Not a currency code of ISO 4217."""

    template = "unknown currency {currency!r}: expected a code of ISO 4217 such as EUR"


class InvalidPage(InvalidInput):
    """Not a cursor that the page before gave out, or one of another order."""

    template = "the page cursor {problem}: begin with the first page again"
