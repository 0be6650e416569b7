"""What a payment gateway does."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = ["GatewayFault", "PaymentDeclined"]


class PaymentDeclined(ElearningError):
    """The gateway refused the payment; the transaction is stored as failed."""

    template = "transaction {transaction_id} was declined by {gateway}: {reason}"


class GatewayFault(ElearningError):
    """A gateway's answer is unusable; the payment stays pending, for `settle`."""

    template = (
        "{gateway} answered {answer} for transaction {transaction_id}: expected an id of "
        "1 to 200 characters; settle the payment when the gateway is mended"
    )
