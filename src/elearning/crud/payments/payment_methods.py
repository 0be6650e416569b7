"""How a user pays: what may be shown of a card; its number stays at the gateway.

Whoever has payment methods has one default. All changes of a user's are made one after
another, under a lock on the account.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, false, select, true, update
from sqlalchemy.orm import Session

from elearning.crud.checks import flag
from elearning.crud.listing import Listing
from elearning.errors import (
    AccountNotActive,
    InvalidPaymentMethod,
    PaymentMethodNotFound,
    TooManyPaymentMethods,
    UserNotFound,
)
from elearning.ids import parse_id, region_of
from elearning.models import PaymentMethod, PaymentMethodType, Transaction, User, UserStatus
from elearning.models.counters import expire_counted
from elearning.text import checked_choice, checked_text

__all__ = [
    "MOST_PAYMENT_METHODS",
    "add_payment_method",
    "list_payment_methods",
    "remove_payment_method",
    "set_default_payment_method",
]

MOST_PAYMENT_METHODS = 20
"""How many one user may have."""

_CARDS = (PaymentMethodType.CREDIT_CARD, PaymentMethodType.DEBIT_CARD)
_WITH_DIGITS = (*_CARDS, PaymentMethodType.BANK_TRANSFER)
_MONTHS = 12
_MOST_YEARS = 50
_DIGITS = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_LEAST_OF_A_CARD, _MOST_OF_A_CARD = 12, 19  # digits, ISO/IEC 7812


def add_payment_method(  # noqa: PLR0913 - all but two are options
    session: Session,
    user_id: UUID,
    method_type: PaymentMethodType | str,
    *,
    last_four: str | None = None,
    brand: str | None = None,
    expiry_month: int | None = None,
    expiry_year: int | None = None,
    billing_address: str | None = None,
    default: bool = False,
) -> PaymentMethod:
    """Store how a user pays; the first one is the default.

    Args:
        session: a session.
        user_id: who pays.
        method_type: a card has digits and an expiry, a bank account may have digits.
        last_four: the last four digits of the card or account, and no others.
        brand: such as Visa.
        expiry_month: 1 to 12.
        expiry_year: such as 2031.
        billing_address: at most 1,000 characters.
        default: whether it is the default from now on.

    Raises:
        InvalidPaymentMethod, InvalidText: what was wrong; a card's number is in no message.
        UserNotFound: there is no such user.
        AccountNotActive: the user is inactive or suspended.
        TooManyPaymentMethods: the user has 20.
    """
    kind = checked_choice("method_type", method_type, PaymentMethodType)
    default = flag("default", default)
    _check_digits(kind, last_four)
    _check_expiry(kind, expiry_month, expiry_year)
    brand = _without_number("brand", brand, most=50)
    billing_address = _without_number("billing_address", billing_address, most=1_000)
    _lock(session, user_id, active=True)
    others = session.scalars(
        select(PaymentMethod.is_default)
        .where(PaymentMethod.user_id == user_id)
        .limit(MOST_PAYMENT_METHODS)
    ).all()
    if len(others) >= MOST_PAYMENT_METHODS:
        raise TooManyPaymentMethods(user_id=user_id, most=MOST_PAYMENT_METHODS)
    if default:
        _unset_default(session, user_id)
    method = PaymentMethod(
        user_id=user_id,
        method_type=kind,
        last_four=last_four,
        brand=brand,
        expiry_month=expiry_month,
        expiry_year=expiry_year,
        billing_address=billing_address,
        is_default=default or not any(others),
    )
    session.add(method)
    session.flush()
    return method


def set_default_payment_method(
    session: Session, user_id: UUID, payment_method_id: UUID
) -> PaymentMethod:
    """Make one of a user's payment methods the default, in the place of the one before.

    Raises:
        UserNotFound: there is no such user.
        AccountNotActive: the user is inactive or suspended.
        PaymentMethodNotFound: the user has no such payment method.
        InvalidPaymentMethod: it has expired.
    """
    _refuse_elsewhere(user_id, payment_method_id)
    _lock(session, user_id, active=True)
    method = session.scalar(
        select(PaymentMethod).where(
            PaymentMethod.id == payment_method_id, PaymentMethod.user_id == user_id
        ),
        execution_options={"populate_existing": True},
    )
    if method is None:
        raise PaymentMethodNotFound(user_id=user_id, payment_method_id=payment_method_id)
    if method.expiry_year is not None:
        _check_expiry(method.method_type, method.expiry_month, method.expiry_year)
    if not method.is_default:
        # Before the other is set: there are never two.
        _unset_default(session, user_id)
        method.is_default = True
        session.flush()
    return method


def remove_payment_method(session: Session, user_id: UUID, payment_method_id: UUID) -> None:
    """Forget how a user pays; what was paid so stays. The newest one is the default then.

    Raises:
        UserNotFound: there is no such user.
        PaymentMethodNotFound: the user has no such payment method.
    """
    _refuse_elsewhere(user_id, payment_method_id)
    _lock(session, user_id, active=False)
    was_default = session.scalar(
        delete(PaymentMethod)
        .where(PaymentMethod.id == payment_method_id, PaymentMethod.user_id == user_id)
        .returning(PaymentMethod.is_default)
    )
    if was_default is None:
        raise PaymentMethodNotFound(user_id=user_id, payment_method_id=payment_method_id)
    # The foreign key has changed the payments that were made by it.
    expire_counted(session, Transaction, None)
    if was_default:
        newest = (
            select(PaymentMethod.id)
            .where(PaymentMethod.user_id == user_id)
            .order_by(PaymentMethod.created_at.desc(), PaymentMethod.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        _set_default(session, PaymentMethod.id == newest, user_id, value=True)


def list_payment_methods(user_id: UUID) -> Listing[PaymentMethod]:
    """List how a user pays: the default, then the newest first."""
    return Listing(
        select(PaymentMethod)
        .where(PaymentMethod.user_id == user_id)
        .order_by(
            PaymentMethod.is_default.desc(),
            PaymentMethod.created_at.desc(),
            PaymentMethod.id.desc(),
        )
    )


def _lock(session: Session, user_id: UUID, *, active: bool) -> None:
    status = session.scalar(
        select(User.status).where(User.id == user_id).with_for_update(key_share=True)
    )
    if status is None:
        raise UserNotFound(user_id=user_id)
    if active and status is not UserStatus.ACTIVE:
        raise AccountNotActive(user_id=user_id, status=status.value)


def _unset_default(session: Session, user_id: UUID) -> None:
    _set_default(session, PaymentMethod.is_default, user_id, value=False)


def _set_default(session: Session, which: Any, user_id: UUID, *, value: bool) -> None:
    changed = session.scalars(
        update(PaymentMethod)
        .where(PaymentMethod.user_id == user_id, which)
        .values(is_default=true() if value else false())
        .returning(PaymentMethod.id)
        .execution_options(synchronize_session=False)
    )
    for changed_id in changed:
        expire_counted(session, PaymentMethod, changed_id)


def _refuse_elsewhere(user_id: UUID, payment_method_id: UUID) -> None:
    """Refuse what lives in another region than the user, so that one shard is asked."""
    if region_of(parse_id(payment_method_id)) is not region_of(parse_id(user_id)):
        raise PaymentMethodNotFound(user_id=user_id, payment_method_id=payment_method_id)


def _check_digits(kind: PaymentMethodType, last_four: object) -> None:
    if last_four is None:
        if kind in _CARDS:
            raise InvalidPaymentMethod(field="last_four", problem="a card has them")
        return
    if kind not in _WITH_DIGITS:
        raise InvalidPaymentMethod(field="last_four", problem=f"{kind} has none")
    if not isinstance(last_four, str) or not re.fullmatch("[0-9]{4}", last_four):
        raise InvalidPaymentMethod(
            field="last_four", problem="expected the last four digits, and no others"
        )


def _check_expiry(kind: PaymentMethodType, month: int | None, year: int | None) -> None:
    if month is None and year is None:
        if kind in _CARDS:
            raise InvalidPaymentMethod(field="expiry", problem="a card has one")
        return
    if kind not in _CARDS:
        raise InvalidPaymentMethod(field="expiry", problem=f"{kind} has none")
    if type(month) is not int or not 1 <= month <= _MONTHS:
        raise InvalidPaymentMethod(field="expiry_month", problem="expected 1 to 12")
    now = datetime.now(UTC)
    if type(year) is not int or not now.year - _MOST_YEARS <= year <= now.year + _MOST_YEARS:
        raise InvalidPaymentMethod(field="expiry_year", problem="expected a year such as 2031")
    # A card is good until the end of its month.
    if (year, month) < (now.year, now.month):
        raise InvalidPaymentMethod(field="expiry", problem=f"{month:02}/{year} is over")


def _without_number(field: str, value: str | None, *, most: int) -> str | None:
    if value is None:
        return None
    text = checked_text(field, value, most=most)
    if any(_adds_up(number) for number in _like_cards(text)):
        raise InvalidPaymentMethod(
            field=field, problem="holds the number of a card, which only the gateway may store"
        )
    return text


def _like_cards(text: str) -> Iterator[str]:
    """Yield what could be a card's number; other numbers may stand before and behind it."""
    for found in _DIGITS.findall(text):
        groups = re.split("[ -]", found)
        for begin in range(len(groups)):
            number = ""
            for group in groups[begin:]:
                number += group
                if len(number) > _MOST_OF_A_CARD:
                    break
                if len(number) >= _LEAST_OF_A_CARD:
                    yield number


def _adds_up(number: str) -> bool:
    """Tell whether the last digit is right: the Luhn algorithm, ISO/IEC 7812-1, annex B."""
    digits = [int(sign) for sign in reversed(number)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
