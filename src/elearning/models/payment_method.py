"""How a user pays."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.types import enum_type, same_home
from elearning.models.user import User

__all__ = ["PaymentMethod", "PaymentMethodType"]


class PaymentMethodType(StrEnum):
    """Kinds of payment."""

    CREDIT_CARD = "credit_card"
    DEBIT_CARD = "debit_card"
    PAYPAL = "paypal"
    BANK_TRANSFER = "bank_transfer"


class PaymentMethod(Regional):
    """What a user may be shown of a stored card; its number stays at the gateway."""

    __tablename__ = "payment_methods"
    __owner__ = "user"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    method_type: Mapped[PaymentMethodType] = mapped_column(enum_type(PaymentMethodType))
    brand: Mapped[str | None] = mapped_column(String(50), comment="such as Visa")
    last_four: Mapped[str | None] = mapped_column(String(4), comment="digits of the card")
    expiry_month: Mapped[int | None] = mapped_column(SmallInteger)
    expiry_year: Mapped[int | None] = mapped_column(SmallInteger)
    billing_address: Mapped[str | None] = mapped_column(Text)
    is_default: Mapped[bool] = mapped_column(
        default=False, server_default=false(), comment="at most one of a user's is"
    )

    user: Mapped[User] = relationship(back_populates="payment_methods", lazy="raise")

    __table_args__ = (
        same_home("user_id"),
        CheckConstraint("(expiry_month IS NULL) = (expiry_year IS NULL)", name="expiry"),
        CheckConstraint("last_four ~ '^[0-9]{4}$'", name="last_four"),
        CheckConstraint("expiry_month BETWEEN 1 AND 12", name="expiry_month"),
        CheckConstraint("expiry_year BETWEEN 2000 AND 2200", name="expiry_year"),
        Index(
            "uq_payment_methods_default",
            "user_id",
            unique=True,
            postgresql_where=text("is_default"),
        ),
        # What transactions refers to: a payment is made by a method of its user.
        Index("uq_payment_methods_id_user_id", "id", "user_id", unique=True),
        {"comment": "How a user pays; one default each", "info": {"fixed": ("user_id",)}},
    )
