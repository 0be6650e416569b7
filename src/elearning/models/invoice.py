"""Invoices."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.states import States
from elearning.models.transaction import Transaction
from elearning.models.types import currency_check, enum_type, same_home
from elearning.money import from_minor

__all__ = ["Invoice", "InvoiceStatus"]


class InvoiceStatus(StrEnum):
    """Whether an invoice is paid: the one thing about it that changes."""

    UNPAID = "unpaid"
    PAID = "paid"
    OVERDUE = "overdue"
    CANCELLED = "cancelled"


STATES = States(
    {
        InvoiceStatus.UNPAID: (
            InvoiceStatus.PAID,
            InvoiceStatus.OVERDUE,
            InvoiceStatus.CANCELLED,
        ),
        InvoiceStatus.OVERDUE: (InvoiceStatus.PAID, InvoiceStatus.CANCELLED),
        InvoiceStatus.PAID: (),
        InvoiceStatus.CANCELLED: (),
    },
    start=(InvoiceStatus.UNPAID, InvoiceStatus.PAID),
)


class Invoice(Regional):
    """One per completed transaction; numbered without gaps per region and year."""

    __tablename__ = "invoices"
    __owner__ = "transaction"

    transaction_id: Mapped[UUID] = mapped_column(
        ForeignKey(Transaction.id, ondelete="RESTRICT"), unique=True
    )
    invoice_number: Mapped[str] = mapped_column(String(32), comment="such as EU-2026-000001")
    invoice_date: Mapped[date] = mapped_column(Date, server_default=func.current_date())
    due_date: Mapped[date] = mapped_column(Date)
    subtotal_minor: Mapped[int] = mapped_column(
        "subtotal", BigInteger, comment="minor unit of the currency, before tax and discount"
    )
    tax_minor: Mapped[int] = mapped_column("tax", BigInteger, comment="minor unit")
    discount_minor: Mapped[int] = mapped_column(
        "discount", BigInteger, default=0, server_default="0", comment="minor unit"
    )
    total_minor: Mapped[int] = mapped_column(
        "total", BigInteger, comment="minor unit; what is paid: subtotal + tax - discount"
    )
    currency: Mapped[str] = mapped_column(String(3), comment="ISO 4217")
    status: Mapped[InvoiceStatus] = mapped_column(
        enum_type(InvoiceStatus), default=InvoiceStatus.UNPAID, server_default="unpaid"
    )

    transaction: Mapped[Transaction] = relationship(back_populates="invoice", lazy="raise")

    __table_args__ = (
        same_home("transaction_id"),
        CheckConstraint("subtotal >= 0 AND tax >= 0 AND discount >= 0", name="amounts"),
        CheckConstraint("total = subtotal + tax - discount AND total >= 0", name="total"),
        CheckConstraint("due_date >= invoice_date", name="due_date"),
        currency_check(),
        Index("uq_invoices_invoice_number", "invoice_number", unique=True),
        Index("idx_invoices_invoice_date", "invoice_date", "id"),
        {
            "comment": "Invoices, on the user's home shard",
            "info": {
                "fixed": (
                    "transaction_id",
                    "invoice_number",
                    "invoice_date",
                    "due_date",
                    "subtotal",
                    "tax",
                    "discount",
                    "total",
                    "currency",
                ),
                "states": STATES,
            },
        },
    )

    @property
    def subtotal(self) -> Decimal:
        """The amount before tax and discount, in the currency's major unit."""
        return from_minor(self.subtotal_minor, self.currency)

    @property
    def tax(self) -> Decimal:
        """The tax, in the currency's major unit."""
        return from_minor(self.tax_minor, self.currency)

    @property
    def discount(self) -> Decimal:
        """The discount, in the currency's major unit."""
        return from_minor(self.discount_minor, self.currency)

    @property
    def total(self) -> Decimal:
        """What is paid, in the currency's major unit."""
        return from_minor(self.total_minor, self.currency)
