"""Email addresses as they are known outside their home: hashed with a key.

======  ==============================================
bytes   content
======  ==============================================
0-3     which key it was, so that keys can be replaced
4-35    HMAC-SHA256 (RFC 2104) of the address
======  ==============================================

The last two bytes, modulo six, name the region whose shard knows whose the address is. The SQL
function ``claim_home`` does the same.
"""

from __future__ import annotations

import hmac

from elearning.regions import Region

__all__ = ["email_hash", "home_of_hash", "key_id"]


def email_hash(key: str, email: str) -> bytes:
    """Return the keyed hash of a normalized address, 36 bytes."""
    return key_id(key) + hmac.digest(key.encode(), email.encode(), "sha256")


def key_id(key: str) -> bytes:
    """Return the four bytes that the hashes of a key begin with."""
    return hmac.digest(key.encode(), b"elearning: which key this is", "sha256")[:4]


def home_of_hash(fact: bytes) -> Region:
    """Return the region whose shard knows whose an address is."""
    return Region.from_code(int.from_bytes(fact[-2:]) % len(Region) + 1)
