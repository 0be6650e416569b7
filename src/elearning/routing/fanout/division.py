"""PostgreSQL's average, to the digit."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import cast

__all__ = ["EXACT", "average"]

EXACT = Context(prec=200_000, traps=[])
"""Never rounds a sum of PostgreSQL's numbers; infinity less infinity is NaN, as in PostgreSQL."""

_DIGITS = 4  # PostgreSQL computes to base 10,000
_SIGNIFICANT = 16
_MOST = 1000


def average(total: Decimal | int, count: int) -> Decimal:
    """Return ``total / count`` with the digits that PostgreSQL's avg() gives.

    A quotient has 16 significant digits or some more, by the rule of
    ``select_div_scale`` in PostgreSQL's numeric.c, and rounds half away from zero.
    """
    total = Decimal(total)
    if not total.is_finite():
        return total
    scale = max(-cast("int", total.as_tuple().exponent), 0)
    weight, first = _leading(abs(total))
    weight_of_count, first_of_count = _leading(Decimal(count))
    quotient = weight - weight_of_count - (first <= first_of_count)
    scale = min(max(_SIGNIFICANT - quotient * _DIGITS, scale), _MOST)
    whole, rest = divmod(abs(int(total.scaleb(scale, context=EXACT))), count)
    digits = whole + (2 * rest >= count)
    return Decimal(-digits if total < 0 else digits).scaleb(-scale, context=EXACT)


def _leading(value: Decimal) -> tuple[int, int]:
    """Return the weight and the value of the first digit to base 10,000 that is not zero."""
    if not value:
        return 0, 0
    weight = value.adjusted() // _DIGITS
    return weight, int(value.scaleb(-weight * _DIGITS, context=EXACT))
