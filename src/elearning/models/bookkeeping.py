"""What a shard notes for itself; never copied, never shown to an application."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Integer,
    SmallInteger,
    String,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from elearning.models.base import Base

__all__ = ["HostedRegion", "InvoiceCounter", "OutboxMessage"]


class HostedRegion(Base):
    """A region that this shard hosts; ids of other regions are refused here."""

    __tablename__ = "hosted_regions"

    region_code: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, autoincrement=False, comment="byte 7 of the ids"
    )

    __table_args__ = (
        CheckConstraint("region_code BETWEEN 1 AND 6", name="region_code"),
        {"comment": "The regions that this shard hosts, written from the settings"},
    )


class InvoiceCounter(Base):
    """The last invoice number of a region and year, so that numbers have no gaps."""

    __tablename__ = "invoice_counters"

    region_code: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, autoincrement=False, comment="byte 7 of the ids"
    )
    year: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    last_number: Mapped[int] = mapped_column(Integer, comment="0: none yet")

    __table_args__ = (
        CheckConstraint("region_code BETWEEN 1 AND 6", name="region_code"),
        CheckConstraint("last_number >= 0", name="last_number"),
        {"comment": "The last invoice number of a region and year"},
    )


class OutboxMessage(Base):
    """What MongoDB has yet to learn; written with the rows that it follows from."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    topic: Mapped[str] = mapped_column(String(64), comment="what happened; names the handler")
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB, comment="what the handler is given")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    problem: Mapped[str | None] = mapped_column(
        Text, comment="why it cannot be delivered; such a message is set aside"
    )

    __table_args__ = (
        {"comment": "What MongoDB has yet to learn, in order; a row goes when it is delivered"},
    )
