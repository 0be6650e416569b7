"""What the purchase flow asks of a payment gateway, and a simulated one."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol
from uuid import UUID

__all__ = ["Charge", "GatewayDeclined", "PaymentGateway", "SimulatedGateway"]


@dataclass(frozen=True, slots=True)
class Charge:
    """What is to be paid, tax included, in the currency's major unit.

    ``key`` is the transaction's id: a gateway charges once for a key, however
    often it is asked, and answers with the same id.
    """

    key: UUID
    amount: Decimal
    currency: str
    payment_method_id: UUID | None


class GatewayDeclined(Exception):
    """Raised by a gateway that refuses a charge; the text says why."""


class PaymentGateway(Protocol):
    """A payment gateway."""

    @property
    def name(self) -> str:
        """The name that transactions keep."""

    async def charge(self, charge: Charge) -> str:
        """Take the money and return the gateway's id of the payment.

        Raises:
            GatewayDeclined: the money was not taken, and will not be.
        """


@dataclass(slots=True)
class SimulatedGateway:
    """Takes every charge up to a limit, and remembers it; for demo and tests."""

    name: str = "simulated"
    limit: Decimal = Decimal(1_000_000)
    charged: dict[UUID, Charge] = field(default_factory=dict)

    async def charge(self, charge: Charge) -> str:
        """Take the money, once for each key."""
        if charge.amount > self.limit:
            msg = f"{charge.amount} {charge.currency} is above the limit of {self.limit}"
            raise GatewayDeclined(msg)
        self.charged.setdefault(charge.key, charge)
        return f"sim-{charge.key}"
