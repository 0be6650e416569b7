"""Counters of a shard's own people, which statistics add up over all shards."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Integer,
    SmallInteger,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from elearning.models.base import Base
from elearning.models.course import Course
from elearning.models.types import currency_check

__all__ = ["CourseMonth", "CourseRevenue", "PlatformCounter"]


def _region() -> CheckConstraint:
    return CheckConstraint("region_code BETWEEN 1 AND 6", name="region_code")


def _month() -> CheckConstraint:
    return CheckConstraint("extract(day FROM month) = 1", name="month")


class CourseMonth(Base):
    """How far those came who enrolled in a course in one month."""

    __tablename__ = "course_months"

    course_id: Mapped[UUID] = mapped_column(
        ForeignKey(Course.id, ondelete="RESTRICT"), primary_key=True
    )
    region_code: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, autoincrement=False, comment="of the people, 1 to 6"
    )
    month: Mapped[date] = mapped_column(
        primary_key=True, comment="its first day (UTC): when the enrollments began"
    )
    enrolled: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="all enrollments that began in the month"
    )
    started: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="those of them with a lesson completed"
    )
    completed: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="those of them that are completed"
    )
    ended: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="those of them that are dropped or expired"
    )

    __table_args__ = (
        _region(),
        _month(),
        CheckConstraint("enrolled >= 0", name="enrolled"),
        CheckConstraint("started BETWEEN 0 AND enrolled", name="started"),
        CheckConstraint("completed BETWEEN 0 AND started", name="completed"),
        CheckConstraint("ended BETWEEN 0 AND enrolled", name="ended"),
        {"comment": "Enrollments of a course by month, for the people of each region"},
    )


class CourseRevenue(Base):
    """What the people of one region have paid for a course in one month."""

    __tablename__ = "course_revenue"

    course_id: Mapped[UUID] = mapped_column(
        ForeignKey(Course.id, ondelete="RESTRICT"), primary_key=True
    )
    region_code: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, autoincrement=False, comment="of the people, 1 to 6"
    )
    month: Mapped[date] = mapped_column(
        primary_key=True, comment="its first day (UTC): when the money came"
    )
    currency: Mapped[str] = mapped_column(String(3), primary_key=True, comment="ISO 4217")
    payments: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="how many payments were completed"
    )
    paid: Mapped[int] = mapped_column(
        BigInteger, server_default="0", comment="in the minor unit of the currency, before tax"
    )
    refunds: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="how many refunds were completed"
    )
    refunded: Mapped[int] = mapped_column(
        BigInteger, server_default="0", comment="in the minor unit of the currency, before tax"
    )

    __table_args__ = (
        _region(),
        _month(),
        currency_check(),
        CheckConstraint("payments >= 0", name="payments"),
        CheckConstraint("paid >= 0", name="paid"),
        CheckConstraint("refunds >= 0", name="refunds"),
        CheckConstraint("refunded >= 0", name="refunded"),
        {"comment": "What was paid for a course by month, by the people of each region"},
    )


class PlatformCounter(Base):
    """A change of one of the platform's counters; the sum of all changes is its value.

    Rows are only added, so that nobody waits for anybody, and added up from time to time.
    """

    __tablename__ = "platform_counters"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), comment="what is counted, such as users")
    detail: Mapped[str] = mapped_column(
        String(32), server_default="", comment="which of them, such as student"
    )
    region_code: Mapped[int] = mapped_column(SmallInteger, comment="of the people, 1 to 6")
    month: Mapped[date | None] = mapped_column(comment="its first day (UTC); NULL: not by month")
    currency: Mapped[str] = mapped_column(
        String(3), server_default="", comment="ISO 4217, of amounts in minor units"
    )
    change: Mapped[int] = mapped_column(BigInteger, comment="what is added")

    __table_args__ = (
        _region(),
        _month(),
        {"comment": "The platform's counters, as changes that add up; see docs/statistics.md"},
    )
