"""Who may not come in."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = ["AccessDenied", "AccountNotActive", "InvalidCredentials", "InvalidUserToken"]


class AccessDenied(ElearningError):
    """Somebody is not let in, or an account may not be used."""


class InvalidCredentials(AccessDenied):
    """No account has this address with this password; which of both is wrong is not told."""

    template = (
        "no account has this address and this password: type both again, or ask for a new "
        "password with request_password_reset"
    )


class AccountNotActive(AccessDenied):
    """The account is inactive or suspended."""

    template = "user {user_id} is {status}: only an active account may be used, see set_status"
    sqlstate = "LE050"


class InvalidUserToken(AccessDenied):
    """A token of a mail is good for nothing; why is not told."""

    template = (
        "this {purpose} token is wrong, expired, used, or replaced by a newer one: ask for a new "
        "one, and take it from the newest mail"
    )
