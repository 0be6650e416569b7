"""Payments and their invoices."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from elearning.crud.accounts.user_changes import refuse_inactive
from elearning.crud.checks import refusing
from elearning.errors import (
    CourseNotFound,
    CourseNotOpen,
    GatewayIdTaken,
    InvalidAmount,
    InvalidInput,
    PaymentMethodNotFound,
    TransactionNotFound,
    TransactionNotPending,
)
from elearning.ids import parse_id, region_of
from elearning.models import (
    Course,
    CourseStatus,
    Invoice,
    PaymentMethod,
    Transaction,
    TransactionStatus,
    TransactionType,
    User,
)
from elearning.money import to_minor
from elearning.routing import Reader
from elearning.text import checked_choice, checked_text

__all__ = [
    "complete_refund",
    "complete_transaction",
    "create_refund",
    "create_transaction",
    "fail_transaction",
    "get_invoice",
    "get_transaction",
]


def create_transaction(
    session: Session,
    user_id: UUID,
    course_id: UUID,
    *,
    gateway: str,
    amount: Decimal | int | str | None = None,
    currency: str | None = None,
    payment_method_id: UUID | None = None,
    transaction_type: TransactionType | str = TransactionType.PURCHASE,
) -> Transaction:
    """Store a pending payment for a course.

    Args:
        session: a session of the user's region.
        user_id: who pays.
        course_id: for what.
        gateway: the name of the payment gateway.
        amount: before tax, in the currency's major unit; default: the course's price.
        currency: ISO 4217; default: the course's currency.
        payment_method_id: one of the user's.
        transaction_type: what the payment is for; `create_refund` makes refunds.

    Raises:
        UnknownCurrency, InvalidAmount: not an amount of money.
        InvalidInput: an id or a text is wrong, or it is a refund.
        UserNotFound, CourseNotFound, PaymentMethodNotFound: no such row.
        AccountNotActive: the user is inactive or suspended.
        CourseNotOpen: the course is a draft or archived.
    """
    user_id, course_id = parse_id(user_id), parse_id(course_id)
    transaction_type = checked_choice("transaction_type", transaction_type, TransactionType)
    if transaction_type is TransactionType.REFUND:
        message = "a refund takes back one payment: make it with create_refund"
        raise InvalidInput(message)
    if amount is None and currency is not None:
        raise InvalidAmount(amount=None, problem=f"in {currency} is missing: pass both or neither")
    minor = None if amount is None else to_minor(amount, currency or "")
    gateway = checked_text("gateway", gateway, most=50)
    if payment_method_id is not None:
        payment_method_id = parse_id(payment_method_id)
    # Locked, so that neither is archived or deleted between the check and the row.
    user = select(User.status).where(User.id == user_id).with_for_update(key_share=True)
    refuse_inactive(user_id, session.scalar(user))
    course = session.execute(
        select(Course.status, Course.price_minor, Course.currency)
        .where(Course.id == course_id)
        .with_for_update(read=True),
        # The copy on the user's shard, wherever the course's home is.
        execution_options={"region": region_of(user_id)},
    ).one_or_none()
    if course is None:
        raise CourseNotFound(course_id=course_id)
    if course.status is not CourseStatus.PUBLISHED:
        raise CourseNotOpen(course_id=course_id, status=course.status.value)
    if payment_method_id is not None:
        owner = session.scalar(
            select(PaymentMethod.user_id).where(PaymentMethod.id == payment_method_id)
        )
        if owner != user_id:
            raise PaymentMethodNotFound(user_id=user_id, payment_method_id=payment_method_id)
    transaction = Transaction(
        user_id=user_id,
        course_id=course_id,
        payment_method_id=payment_method_id,
        amount_minor=course.price_minor if minor is None else minor,
        currency=currency or course.currency,
        gateway=gateway,
        transaction_type=transaction_type,
    )
    session.add(transaction)
    session.flush()
    return transaction


def create_refund(
    session: Session, transaction_id: UUID, *, amount: Decimal | int | str | None = None
) -> Transaction:
    """Store a pending refund of a completed payment, which itself stays as it is.

    Args:
        session: a session of the payment's region.
        transaction_id: the payment.
        amount: before tax, in the currency's major unit; default: all that was paid.

    Raises:
        InvalidAmount: not an amount of money.
        TransactionNotFound: there is no such payment.
        RefundRefused: it is not completed, or less than that is left of it.
    """
    payment = get_transaction(session, transaction_id)
    refund = Transaction(
        user_id=payment.user_id,
        course_id=payment.course_id,
        payment_method_id=payment.payment_method_id,
        refund_of_id=payment.id,
        amount_minor=payment.amount_minor if amount is None else to_minor(amount, payment.currency),
        currency=payment.currency,
        gateway=payment.gateway,
        transaction_type=TransactionType.REFUND,
    )
    session.add(refund)
    session.flush()
    return refund


def complete_refund(
    session: Session, transaction_id: UUID, gateway_transaction_id: str
) -> Transaction:
    """Complete a pending refund, when the gateway has given the money back.

    Raises:
        TransactionNotFound: there is no such refund.
        TransactionNotPending: it is completed or failed already.
        GatewayIdTaken: another payment of the gateway has this id.
    """
    reference = checked_text("gateway_transaction_id", gateway_transaction_id, most=200)
    refund = session.get(Transaction, transaction_id, with_for_update=True)
    if refund is None or refund.transaction_type is not TransactionType.REFUND:
        raise TransactionNotFound(transaction_id=transaction_id)
    if refund.status is not TransactionStatus.PENDING:
        raise TransactionNotPending(transaction_id=transaction_id, status=refund.status.value)
    taken = select(Transaction.id).where(
        Transaction.gateway == refund.gateway, Transaction.gateway_transaction_id == reference
    )
    error = GatewayIdTaken(
        transaction_id=transaction_id, gateway_transaction_id=reference, gateway=refund.gateway
    )
    if session.scalar(taken) is not None:
        raise error
    refund.status = TransactionStatus.COMPLETED
    refund.gateway_transaction_id = reference
    refund.completed_at = func.clock_timestamp()
    # Somebody else may be using the id at this moment.
    with refusing(uq_transactions_gateway_transaction_id=error):
        session.flush()
    return refund


def complete_transaction(
    session: Session, transaction_id: UUID, gateway_transaction_id: str
) -> UUID:
    """Complete a pending payment and return the id of its paid invoice.

    Raises:
        TransactionNotFound: there is none.
        TransactionNotPending: it is completed or failed already.
        NotAPayment: it is a refund.
        GatewayIdTaken: another payment of the gateway has this id.
    """
    transaction_id = parse_id(transaction_id)
    reference = checked_text("gateway_transaction_id", gateway_transaction_id, most=200)
    taken = GatewayIdTaken(
        transaction_id=transaction_id, gateway_transaction_id=reference, gateway="its gateway"
    )
    # The routine looks for the id, too; somebody else may be using it at this moment.
    with refusing(uq_transactions_gateway_transaction_id=taken):
        invoice_id: UUID = session.execute(
            select(func.complete_transaction(transaction_id, reference))
        ).scalar_one()
    return invoice_id


def fail_transaction(session: Session, transaction_id: UUID) -> None:
    """Note that a pending payment was refused.

    Raises:
        TransactionNotFound: there is none.
        TransactionNotPending: it is completed or failed already.
    """
    failed = session.scalar(
        update(Transaction)
        .where(Transaction.id == transaction_id, Transaction.status == TransactionStatus.PENDING)
        .values(status=TransactionStatus.FAILED)
        .returning(Transaction.id)
    )
    if failed is None:
        transaction = get_transaction(session, transaction_id)
        raise TransactionNotPending(transaction_id=transaction_id, status=transaction.status.value)


def get_transaction(session: Reader, transaction_id: UUID) -> Transaction:
    """Return a payment.

    Raises:
        TransactionNotFound: there is none.
    """
    transaction = session.get(Transaction, transaction_id)
    if transaction is None:
        raise TransactionNotFound(transaction_id=transaction_id)
    return transaction


def get_invoice(session: Reader, transaction_id: UUID) -> Invoice | None:
    """Return the invoice of a payment, or None while it has none."""
    return session.scalars(
        select(Invoice).where(Invoice.transaction_id == transaction_id)
    ).one_or_none()
