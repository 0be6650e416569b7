"""Invoices."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.transaction import Transaction
from elearning.models.types import currency_check, enum_type
from elearning.money import from_minor

__all__ = ["Invoice", "InvoiceStatus"]


class InvoiceStatus(StrEnum):
    """unpaid → paid | overdue | cancelled; overdue → paid | cancelled."""

    UNPAID = "unpaid"
    PAID = "paid"
    OVERDUE = "overdue"
    CANCELLED = "cancelled"


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
        "subtotal", BigInteger, comment="this and the next three: minor unit of the currency"
    )
    tax_minor: Mapped[int] = mapped_column("tax", BigInteger)
    discount_minor: Mapped[int] = mapped_column(
        "discount", BigInteger, default=0, server_default="0"
    )
    total_minor: Mapped[int] = mapped_column("total", BigInteger)
    currency: Mapped[str] = mapped_column(String(3), comment="ISO 4217")
    status: Mapped[InvoiceStatus] = mapped_column(
        enum_type(InvoiceStatus), default=InvoiceStatus.UNPAID, server_default="unpaid"
    )

    transaction: Mapped[Transaction] = relationship(back_populates="invoice", lazy="raise")

    __table_args__ = (
        CheckConstraint("subtotal >= 0 AND tax >= 0 AND discount >= 0", name="amounts"),
        CheckConstraint("total = subtotal + tax - discount AND total >= 0", name="total"),
        CheckConstraint("due_date >= invoice_date", name="due_date"),
        currency_check(),
        Index("uq_invoices_invoice_number", "invoice_number", unique=True),
        Index("idx_invoices_invoice_date", "invoice_date", "id"),
        {"comment": "Invoices, on the user's home shard"},
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
