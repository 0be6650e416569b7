"""Money: integers of a currency's minor unit in the database, Decimal in Python.

Codes and digits are those of ISO 4217, list one (active national currencies;
funds, metals and testing codes are left out).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction

from elearning.errors import InvalidAmount, UnknownCurrency

__all__ = ["TAX_RATE", "from_minor", "minor_digits", "tax_on", "to_minor"]

TAX_RATE = Decimal("0.10")
"""The tax on every purchase, a fraction (the seed's payment flow: 10 %)."""

MAX_MINOR = 10**15
"""The largest stored amount, in minor units; far below the limit of BIGINT,
so that sums of many rows stay below it too."""

_MOST_DIGITS = 100
"""More digits than this are not worth the arithmetic: no currency has them."""

_TWO_DIGITS = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD
HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA
MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN
QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"

_DIGITS = (
    dict.fromkeys(_TWO_DIGITS.split(), 2)
    | dict.fromkeys(_NO_DIGITS.split(), 0)
    | dict.fromkeys(_THREE_DIGITS.split(), 3)
)


def minor_digits(currency: str) -> int:
    """Return how many decimal digits a currency has.

    Raises:
        UnknownCurrency: not an active code of ISO 4217 in capitals.
    """
    try:
        return _DIGITS[currency]
    except (KeyError, TypeError):
        raise UnknownCurrency(currency=currency) from None


def to_minor(amount: Decimal | int | str, currency: str) -> int:
    """Return an amount in minor units: ``to_minor("9.99", "EUR")`` is 999.

    Raises:
        UnknownCurrency: see `minor_digits`.
        InvalidAmount: negative, not finite, more digits than the currency has,
            above `MAX_MINOR`, or a float (which cannot hold 0.1).
    """
    digits = minor_digits(currency)
    if isinstance(amount, float):
        raise InvalidAmount(amount=amount, problem="is a float: pass a Decimal or a text")
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | str):
        raise InvalidAmount(amount=f"of type {type(amount).__name__}", problem="is not a number")
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise InvalidAmount(amount=repr(amount)[:80], problem="is not a number") from None
    if not value.is_finite():
        raise InvalidAmount(amount=value, problem="is not finite")
    if value < 0:
        raise InvalidAmount(amount=f"{value:.20g}", problem="is negative")
    # Compared before scaling: 1E+999999 must not be expanded.
    if value > Decimal(MAX_MINOR).scaleb(-digits):
        raise InvalidAmount(amount=f"{value:.20g}", problem=f"is above {MAX_MINOR} minor units")
    # As a fraction: arithmetic of Decimal would round to 28 digits. And not of 1E-999999999, whose
    # denominator would be written out.
    _, written, exponent = value.as_tuple()
    short = len(written) <= _MOST_DIGITS and int(exponent) >= -_MOST_DIGITS
    minor = Fraction(value) * 10**digits if short else None
    if minor is None or minor.denominator != 1:
        raise InvalidAmount(
            amount=f"{value:.40g}", problem=f"has more than {digits} decimals of {currency}"
        )
    return int(minor)


def from_minor(minor: int, currency: str) -> Decimal:
    """Return minor units as a Decimal: ``from_minor(999, "EUR")`` is 9.99."""
    return Decimal(minor).scaleb(-minor_digits(currency))


def tax_on(minor: int) -> int:
    """Return the tax on an amount, both in minor units, half rounded up.

    The routine ``complete_transaction`` computes the same figure in SQL.
    """
    return int((minor * TAX_RATE).quantize(Decimal(1), rounding=ROUND_HALF_UP))
