"""Lists of payments and invoices."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import Select, select

from elearning.crud.listing import Listing
from elearning.errors import InvalidText
from elearning.models import (
    Invoice,
    InvoiceStatus,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from elearning.money import minor_digits
from elearning.text import checked_choice

__all__ = [
    "TransactionFilters",
    "list_course_transactions",
    "list_invoices",
    "list_transactions",
]


class TransactionFilters(TypedDict, total=False):
    """Which payments a list holds; None: all.

    Attributes:
        status: those in this state.
        transaction_type: those of this kind.
        currency: those in it, ISO 4217.
        since: those that were made then or later, with a time zone.
        before: those that were made earlier, with a time zone.
    """

    status: TransactionStatus | str | None
    transaction_type: TransactionType | str | None
    currency: str | None
    since: datetime | None
    before: datetime | None


def list_transactions(user_id: UUID, **filters: Unpack[TransactionFilters]) -> Listing[Transaction]:
    """List the payments and refunds of a user, the newest first.

    Raises:
        InvalidText, UnknownCurrency: a filter is wrong.
    """
    return _newest(select(Transaction).where(Transaction.user_id == user_id), filters)


def list_course_transactions(
    course_id: UUID, **filters: Unpack[TransactionFilters]
) -> Listing[Transaction]:
    """List the payments and refunds for a course, the newest first.

    A page of a session holds those of its region's shard, for they live with who paid; one of
    ``everywhere`` the world's.

    Raises:
        InvalidText, UnknownCurrency: a filter is wrong.
    """
    return _newest(select(Transaction).where(Transaction.course_id == course_id), filters)


def list_invoices(user_id: UUID, *, status: InvoiceStatus | str | None = None) -> Listing[Invoice]:
    """List the invoices of a user, the newest first.

    Args:
        user_id: whose.
        status: only those in this state.

    Raises:
        InvalidText: there is no such state.
    """
    statement = (
        select(Invoice)
        .join(Transaction, Transaction.id == Invoice.transaction_id)
        .where(Transaction.user_id == user_id)
        .order_by(Invoice.invoice_date.desc(), Invoice.id.desc())
    )
    if status is not None:
        statement = statement.where(
            Invoice.status == checked_choice("status", status, InvoiceStatus)
        )
    return Listing(statement)


def _newest(statement: Select[Any], filters: TransactionFilters) -> Listing[Transaction]:
    if (status := filters.get("status")) is not None:
        wanted = checked_choice("status", status, TransactionStatus)
        statement = statement.where(Transaction.status == wanted)
    if (kind := filters.get("transaction_type")) is not None:
        wanted_type = checked_choice("transaction_type", kind, TransactionType)
        statement = statement.where(Transaction.transaction_type == wanted_type)
    if (currency := filters.get("currency")) is not None:
        minor_digits(currency)
        statement = statement.where(Transaction.currency == currency)
    since, before = (_moment(name, filters.get(name)) for name in ("since", "before"))
    if since is not None and before is not None and since >= before:
        raise InvalidText(field="since", problem=f"{since} is not earlier than {before}")
    if since is not None:
        statement = statement.where(Transaction.created_at >= since)
    if before is not None:
        statement = statement.where(Transaction.created_at < before)
    return Listing(statement.order_by(Transaction.created_at.desc(), Transaction.id.desc()))


def _moment(field: str, value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidText(field=field, problem="is no datetime with a time zone")
    return value
