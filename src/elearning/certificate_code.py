"""The public codes of certificates: twenty signs in five groups, ``3K7W-Q0ZD-M5XA-9TBH-2VCE``.

======  ====================================================
sign    content
======  ====================================================
1       region code, 1 to 6
2-19    90 random bits
20      check sign
======  ====================================================

The signs are Crockford's base 32 (https://www.crockford.com/base32.html): digits and capitals
without I, L, O and U. The check sign makes the sum of all signs, each times a power of the
generator of the field with 32 elements (x^5 + x^2 + 1), zero. No power is zero and no two of the
twenty are alike, so one wrong sign, or two that have changed places, are always noticed.
"""

from __future__ import annotations

import secrets

from elearning.errors import InvalidCertificateCode, UnknownRegion
from elearning.regions import Region

__all__ = ["new_code", "parse_code", "region_of_code"]

_SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {sign: value for value, sign in enumerate(_SIGNS)}
_VALUES |= {sign.lower(): value for sign, value in _VALUES.items()}
# Crockford: what looks like 0 or 1 is read so.
_VALUES |= dict.fromkeys("Oo", 0) | dict.fromkeys("IiLl", 1)
_SEPARATORS = str.maketrans("", "", " \t\r\n\u00a0-\u2010\u2011\u2012\u2013\u2014\u2212_./:")
_RANDOM = 18
_LENGTH = _RANDOM + 2
_GROUP = 4
_LONGEST = 100  # with separators
_REDUCE = 0b100101


def new_code(region: Region | str) -> str:
    """Make a code for a certificate of this region.

    Raises:
        UnknownRegion: no region has this name.
    """
    random = secrets.randbits(5 * _RANDOM)
    values = [Region.parse(region).code]
    values += [random >> 5 * place & 31 for place in range(_RANDOM)]
    # Times x, as all are once the check sign follows.
    return _shown([*values, _times_x(_sum(values))])


def parse_code(code: str) -> str:
    """Return a code as it is stored, whatever its case and separators.

    Raises:
        InvalidCertificateCode: it was never given out like this; or a sign is wrong or missing.
    """
    if not isinstance(code, str):
        raise InvalidCertificateCode(code=type(code).__name__, problem="is no text")
    signs = code[: _LONGEST + 1].translate(_SEPARATORS)
    if len(code) > _LONGEST or len(signs) != _LENGTH:
        raise InvalidCertificateCode(code=code[:40], problem=f"does not have {_LENGTH} signs")
    strange = [sign for sign in signs if sign not in _VALUES]
    if strange:
        raise InvalidCertificateCode(code=code, problem=f"holds {strange[0]!r}")
    values = [_VALUES[sign] for sign in signs]
    if _sum(values):
        raise InvalidCertificateCode(code=code, problem="has a wrong sign, or two that are swapped")
    try:
        Region.from_code(values[0])
    except UnknownRegion:
        raise InvalidCertificateCode(code=code, problem="names no region") from None
    return _shown(values)


def region_of_code(code: str) -> Region:
    """Return the region whose shard has the certificate.

    Raises:
        InvalidCertificateCode: see `parse_code`.
    """
    return Region.from_code(_VALUES[parse_code(code)[0]])


def _sum(values: list[int]) -> int:
    """Return the sum of all values, the last one as it is, each before it times x once more."""
    total = 0
    for value in values:
        total = _times_x(total) ^ value
    return total


def _times_x(value: int) -> int:
    doubled = value << 1
    return doubled ^ _REDUCE if doubled > 31 else doubled  # noqa: PLR2004 - the field's size


def _shown(values: list[int]) -> str:
    signs = "".join(_SIGNS[value] for value in values)
    return "-".join(signs[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))
