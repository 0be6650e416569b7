"""Passwords: checked, hashed with Argon2id, compared.

The parameters are those of argon2-cffi's default profile, the second choice of RFC 9106 (section
4): 64 MiB of memory, three passes, four lanes. A hash says with which parameters it was made, so
that old ones are known, and made anew when their owner comes.

Each of these functions but `check_password` works for some 50 ms of two processors; in
asynchronous code call them by ``asyncio.to_thread``.
"""

from __future__ import annotations

import secrets
import unicodedata
from base64 import b64encode

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from elearning.errors import InvalidPassword

__all__ = ["check_password", "hash_password", "renewed_hash", "verify_password"]

_LEAST, _MOST = 8, 1_024  # NIST SP 800-63B, section 5.1.1.2: at least 8, and 64 have to be possible
_HASHER = PasswordHasher()


def check_password(password: str) -> None:
    """Check that a text can be somebody's new password.

    Raises:
        InvalidPassword: it has fewer than 8 or more than 1,024 characters, or one that cannot be
            hashed.
    """
    _bytes_of(password)
    if len(password) < _LEAST:
        raise InvalidPassword(
            problem=f"has {len(password)} characters, expected {_LEAST} to {_MOST}"
        )


def hash_password(password: str) -> str:
    """Return what is stored of a new password: a PHC string with its own salt.

    ::

        NewUser(..., password_hash=hash_password("correct horse"))

    Raises:
        InvalidPassword: see `check_password`.
    """
    check_password(password)
    return _HASHER.hash(_bytes_of(password))


def verify_password(password: str, password_hash: str | None) -> bool:
    """Tell whether a hash is this password's.

    Without a hash the answer is no, after the same work as with one.

    Args:
        password: as it was typed.
        password_hash: what is stored, if anything is.

    Raises:
        InvalidPassword: more than 1,024 characters, or one that cannot be hashed.
    """
    typed = _bytes_of(password)
    try:
        return _HASHER.verify(_NOBODYS if password_hash is None else password_hash, typed)
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError, UnicodeEncodeError):
        # A hash of another kind, as an import may bring: nobody comes in with it.
        if password_hash is None:
            raise
    return verify_password(password, None)


def renewed_hash(password: str, password_hash: str) -> str | None:
    """Return a new hash in place of one that was made with other parameters than those of today.

    Args:
        password: the right one.
        password_hash: what is stored.
    """
    if not _HASHER.check_needs_rehash(password_hash):
        return None
    return _HASHER.hash(_bytes_of(password))


def _bytes_of(password: str) -> bytes:
    given: object = password
    if not isinstance(given, str):
        raise InvalidPassword(problem=f"is {type(given).__name__}, expected a text")
    if len(password) > _MOST:
        raise InvalidPassword(
            problem=f"has {len(password)} characters, expected {_LEAST} to {_MOST}"
        )
    if "\x00" in password:
        raise InvalidPassword(problem="holds a NUL character")
    try:
        # The same letter is typed differently on different devices (NIST, as above).
        return unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:
        # Without the cause, which shows the password.
        problem = "holds half a surrogate pair"
    raise InvalidPassword(problem=problem)


def _base64(length: int) -> str:
    return b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()


# Made of parameters and chance: no password has it, and to compare takes as long as with any other.
_NOBODYS = (
    f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    f"${_base64(_HASHER.salt_len)}${_base64(_HASHER.hash_len)}"
)
