"""Payments."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.course import Course
from elearning.models.payment_method import PaymentMethod
from elearning.models.states import States
from elearning.models.types import currency_check, enum_type, not_blank, same_home
from elearning.models.user import User
from elearning.money import from_minor

if TYPE_CHECKING:
    from elearning.models.invoice import Invoice

__all__ = ["Transaction", "TransactionStatus", "TransactionType"]


class TransactionType(StrEnum):
    """What a payment is for."""

    PURCHASE = "purchase"
    REFUND = "refund"
    SUBSCRIPTION = "subscription"


class TransactionStatus(StrEnum):
    """A transaction that is not pending never changes: a refund is one of its own."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


STATES = States(
    {
        TransactionStatus.PENDING: (TransactionStatus.COMPLETED, TransactionStatus.FAILED),
        TransactionStatus.COMPLETED: (),
        TransactionStatus.FAILED: (),
    },
    start=(TransactionStatus.PENDING,),
)


class Transaction(Regional):
    """A payment for a course; lives with the user."""

    __tablename__ = "transactions"
    __owner__ = "user"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    course_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(Course.id, ondelete="RESTRICT"), index=True
    )
    payment_method_id: Mapped[UUID | None] = mapped_column(
        index=True, comment="one of the user's; NULL: none, or deleted since"
    )
    refund_of_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("transactions.id", ondelete="RESTRICT"),
        index=True,
        comment="the completed payment that this refund takes back, in whole or in part",
    )
    amount_minor: Mapped[int] = mapped_column(
        "amount", BigInteger, comment="in the minor unit of the currency, before tax"
    )
    currency: Mapped[str] = mapped_column(String(3), comment="ISO 4217")
    transaction_type: Mapped[TransactionType] = mapped_column(
        enum_type(TransactionType),
        default=TransactionType.PURCHASE,
        server_default="purchase",
        comment="what the payment is for",
    )
    status: Mapped[TransactionStatus] = mapped_column(
        enum_type(TransactionStatus), default=TransactionStatus.PENDING, server_default="pending"
    )
    gateway: Mapped[str] = mapped_column(String(50), comment="who takes the money, by name")
    gateway_transaction_id: Mapped[str | None] = mapped_column(
        String(200), comment="the gateway's id of the payment, once it is completed"
    )
    completed_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(back_populates="transactions", lazy="raise")
    course: Mapped[Course | None] = relationship(lazy="raise")
    payment_method: Mapped[PaymentMethod | None] = relationship(
        lazy="raise",
        # By the id alone: user_id belongs to `user`, and is checked by the key.
        primaryjoin=lambda: Transaction.payment_method_id == PaymentMethod.id,
        foreign_keys=lambda: Transaction.payment_method_id,
    )
    refund_of: Mapped[Transaction | None] = relationship(
        back_populates="refunds", remote_side="Transaction.id", lazy="raise"
    )
    refunds: Mapped[list[Transaction]] = relationship(
        back_populates="refund_of", lazy="raise", passive_deletes="all"
    )
    invoice: Mapped[Invoice | None] = relationship(
        back_populates="transaction", lazy="raise", passive_deletes="all"
    )

    __table_args__ = (
        ForeignKeyConstraint(
            ["payment_method_id", "user_id"],
            [PaymentMethod.id, PaymentMethod.user_id],
            ondelete="SET NULL (payment_method_id)",
        ),
        same_home("user_id"),
        not_blank("gateway"),
        not_blank("gateway_transaction_id"),
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint(
            "status <> 'completed' "
            "OR (completed_at IS NOT NULL AND gateway_transaction_id IS NOT NULL)",
            name="completed_at",
        ),
        CheckConstraint(
            "(transaction_type = 'refund') = (refund_of_id IS NOT NULL)", name="refund_of_id"
        ),
        currency_check(),
        Index("idx_transactions_user_id", "user_id", "created_at"),
        Index("idx_transactions_created_at", "created_at", "id"),
        Index("idx_transactions_course_date", "course_id", "created_at", "id"),
        Index(
            "uq_transactions_gateway_transaction_id",
            "gateway",
            "gateway_transaction_id",
            unique=True,
        ),
        {
            "comment": "Payments and refunds, on the user's home shard",
            "info": {
                "fixed": (
                    "user_id",
                    "course_id",
                    "amount",
                    "currency",
                    "transaction_type",
                    "refund_of_id",
                ),
                "states": STATES,
            },
        },
    )

    @property
    def amount(self) -> Decimal:
        """The amount before tax, in the currency's major unit."""
        return from_minor(self.amount_minor, self.currency)
