"""The caller's input cannot be right."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = [
    "FieldNotLoaded",
    "InvalidAmount",
    "InvalidCertificateCode",
    "InvalidDocument",
    "InvalidEmail",
    "InvalidId",
    "InvalidInput",
    "InvalidPage",
    "InvalidPassword",
    "InvalidPaymentMethod",
    "InvalidPeriod",
    "InvalidRating",
    "InvalidScore",
    "InvalidText",
    "NotPlain",
    "SecretField",
    "UnknownCurrency",
    "UnknownField",
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


class InvalidPeriod(InvalidInput):
    """Not the first and the last month of some years."""

    template = "the months {first} to {last}: {problem}"


class InvalidPage(InvalidInput):
    """Not a cursor that the page before gave out, or one of another order."""

    template = "the page cursor {problem}: begin with the first page again"


class InvalidScore(InvalidInput):
    """A score that is not 0 to 100, or has more than two decimals."""

    template = "score {score} {problem}: expected 0 to 100 with at most two decimals"


class InvalidCertificateCode(InvalidInput):
    """Not a code that was ever given out: a sign is wrong or missing."""

    template = "{code!r} is no certificate's code, it {problem}: copy it from the certificate"


class InvalidPassword(InvalidInput):
    """Not a password: too short, too long, or with a character that cannot be hashed."""

    # What was typed is in no message: it is nearly the right one at times.
    template = "password: {problem}"


class UnknownField(InvalidInput):
    """Nothing of this name is part of a row or a document."""

    template = "{what} has no field {field!r}: expected some of {known}"


class SecretField(InvalidInput):
    """Hashes of passwords and the like are shown to nobody."""

    template = "{field!r} of {what} is a secret: it is no part of any dictionary"


class FieldNotLoaded(InvalidInput):
    """A dictionary is made of what is there, with no statement of its own."""

    template = "{field!r} of {what} is not loaded: {remedy}"


class NotPlain(InvalidInput):
    """A value that is no row, result or document, or holds what JSON has no form for."""

    template = "{what} has no plain form: {problem}"


class InvalidDocument(InvalidInput):
    """What a document of MongoDB cannot hold."""

    template = "{document}, {field}: {problem}"


class InvalidRating(InvalidInput):
    """Not a number of stars."""

    template = "rating {rating!r}: expected a whole number from 1 (worst) to 5 (best)"


class InvalidPaymentMethod(InvalidInput):
    """A way to pay that cannot be used: expired, incomplete, or with more than may be stored."""

    # What was given is in no message: it may be the number of a card.
    template = "payment method, {field}: {problem}"
