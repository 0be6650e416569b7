"""Purchase: a pending payment, the gateway, then a completed one with its invoice."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from elearning.crud import (
    complete_transaction,
    create_transaction,
    fail_transaction,
    get_invoice,
    get_transaction,
)
from elearning.errors import GatewayFault, NotAPayment, PaymentDeclined, TransactionNotPending
from elearning.flows.gateway import Charge, GatewayDeclined, PaymentGateway
from elearning.flows.platform import Platform
from elearning.ids import parse_id, region_of
from elearning.models import TransactionStatus, TransactionType
from elearning.money import from_minor, tax_on
from elearning.routing import Consistency, Token

__all__ = ["purchase", "settle"]

_LONGEST_ID = 200  # characters, as the column holds


async def purchase(
    platform: Platform,
    user_id: UUID,
    course_id: UUID,
    gateway: PaymentGateway,
    *,
    amount: Decimal | int | str | None = None,
    currency: str | None = None,
    payment_method_id: UUID | None = None,
    token: Token | str | None = None,
) -> UUID:
    """Buy a course and return the id of the paid invoice.

    Args:
        platform: the databases.
        user_id: who pays.
        course_id: for what.
        gateway: takes the money.
        amount: before tax, in the currency's major unit; default: the course's price.
        currency: ISO 4217; default: the course's currency.
        payment_method_id: one of the user's.
        token: what the caller has written before; grows with what is written here.

    Raises:
        InvalidId, InvalidAmount, UnknownCurrency: wrong input.
        UserNotFound, CourseNotFound, PaymentMethodNotFound, CourseNotOpen:
            see `create_transaction`.
        PaymentDeclined: the gateway refused; the transaction is stored as failed.
        NodeUnavailable: the region's primary does not answer. Where that happens
            after the gateway was asked, `settle` ends the purchase later.
    """
    user_id, course_id = parse_id(user_id), parse_id(course_id)
    region = region_of(user_id)
    async with platform.session(region, token=token) as session, session.begin():
        transaction = await session.run_sync(
            lambda sync: create_transaction(
                sync,
                user_id,
                course_id,
                gateway=gateway.name,
                amount=amount,
                currency=currency,
                payment_method_id=payment_method_id,
            )
        )
    return await settle(platform, transaction.id, gateway, token=token)


async def settle(
    platform: Platform,
    transaction_id: UUID,
    gateway: PaymentGateway,
    *,
    token: Token | str | None = None,
) -> UUID:
    """Charge a pending payment and complete it; safe to repeat after a crash.

    The gateway charges once for a transaction's id, so a purchase that was cut
    off anywhere is ended by calling this again. No transaction of the database
    is open while the gateway works.

    Args:
        platform: the databases.
        transaction_id: the pending payment.
        gateway: takes the money.
        token: what the caller has written before; grows with what is written here.

    Returns:
        The id of the invoice, also where the payment was completed before.

    Raises:
        TransactionNotFound: there is none.
        TransactionNotPending: it has failed.
        NotAPayment: it is a refund, which is not charged.
        PaymentDeclined: the gateway refused; the transaction is stored as failed.
        GatewayFault, GatewayIdTaken: the gateway's answer is no id of this payment,
            which stays pending.
    """
    transaction_id = parse_id(transaction_id)
    region = region_of(transaction_id)
    async with platform.read_session(region, consistency=Consistency.PRIMARY) as reader:
        transaction = await reader.run_sync(get_transaction, transaction_id)
    if transaction.transaction_type is TransactionType.REFUND:
        raise NotAPayment(transaction_id=transaction_id)
    if transaction.status is not TransactionStatus.PENDING:
        return await _invoice_of(platform, transaction_id, transaction.status)
    total = transaction.amount_minor + tax_on(transaction.amount_minor)
    try:
        answer: object = await gateway.charge(
            Charge(
                key=transaction_id,
                amount=from_minor(total, transaction.currency),
                currency=transaction.currency,
                payment_method_id=transaction.payment_method_id,
            )
        )
    except GatewayDeclined as declined:
        async with platform.session(region, token=token) as session, session.begin():
            await session.run_sync(fail_transaction, transaction_id)
        raise PaymentDeclined(
            transaction_id=transaction_id, gateway=gateway.name, reason=declined
        ) from declined
    if not isinstance(answer, str) or not 0 < len(answer) <= _LONGEST_ID:
        raise GatewayFault(
            transaction_id=transaction_id,
            gateway=gateway.name,
            answer=repr(answer)[:100],
        )
    try:
        async with platform.session(region, token=token) as session, session.begin():
            return await session.run_sync(complete_transaction, transaction_id, answer)
    except TransactionNotPending as late:
        # Somebody else settled it meanwhile, with the same key at the gateway.
        return await _invoice_of(platform, transaction_id, late.values["status"])


async def _invoice_of(platform: Platform, transaction_id: UUID, status: object) -> UUID:
    region = region_of(transaction_id)
    async with platform.read_session(region, consistency=Consistency.PRIMARY) as session:
        invoice = await session.run_sync(get_invoice, transaction_id)
    if invoice is None:
        raise TransactionNotPending(transaction_id=transaction_id, status=status)
    return invoice.id
