"""Accounts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, Index, String, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.ids import region_of
from elearning.models.base import Regional
from elearning.models.types import HOME_CODE, SecretText, enum_type, not_blank
from elearning.regions import Region

if TYPE_CHECKING:
    from elearning.models.enrollment import Enrollment
    from elearning.models.payment_method import PaymentMethod
    from elearning.models.transaction import Transaction
    from elearning.models.user_profile import UserProfile

__all__ = ["User", "UserStatus", "UserType"]


class UserType(StrEnum):
    """What an account may do."""

    STUDENT = "student"
    INSTRUCTOR = "instructor"
    ADMIN = "admin"


class UserStatus(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    SUSPENDED = "suspended"


def _region_of_id(context: DefaultExecutionContext) -> Region:
    return region_of(context.get_current_parameters()["id"])


_REGION_MATCHES_ID = (
    f"{HOME_CODE} = CASE region "
    + " ".join(f"WHEN '{region}' THEN {region.code}" for region in Region)
    + " END"
)


class User(Regional):
    """An account; it lives in one region, with all that belongs to it."""

    __tablename__ = "users"
    __secret__ = frozenset({"password_hash"})

    region: Mapped[Region] = mapped_column(
        enum_type(Region), default=_region_of_id, comment="the region in the id, by name"
    )
    email: Mapped[str] = mapped_column(String(254), comment="normalized: no ASCII capitals")
    password_hash: Mapped[str | None] = mapped_column(
        SecretText, comment="PHC string; NULL: no login by password"
    )
    first_name: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    user_type: Mapped[UserType] = mapped_column(
        enum_type(UserType),
        default=UserType.STUDENT,
        server_default="student",
        comment="what the account may do",
    )
    status: Mapped[UserStatus] = mapped_column(
        enum_type(UserStatus), default=UserStatus.ACTIVE, server_default="active"
    )
    last_login: Mapped[datetime | None]
    email_verified_at: Mapped[datetime | None] = mapped_column(
        comment="when the address was proved to be read; NULL: not yet"
    )

    profile: Mapped[UserProfile | None] = relationship(
        back_populates="user", lazy="raise", passive_deletes="all"
    )
    enrollments: Mapped[list[Enrollment]] = relationship(
        back_populates="user", lazy="raise", passive_deletes="all"
    )
    payment_methods: Mapped[list[PaymentMethod]] = relationship(
        back_populates="user", lazy="raise", passive_deletes="all"
    )
    transactions: Mapped[list[Transaction]] = relationship(
        back_populates="user", lazy="raise", passive_deletes="all"
    )

    __table_args__ = (
        CheckConstraint(_REGION_MATCHES_ID, name="region_of_id"),
        CheckConstraint("email ~ '^[^@[:space:]A-Z]+@[^@[:space:]A-Z]+$'", name="email"),
        not_blank("first_name"),
        not_blank("last_name"),
        CheckConstraint("password_hash ~ '^[$]'", name="password_is_hashed"),
        Index("idx_users_email", "email", unique=True),
        Index("idx_users_created_at", "created_at", "id"),
        Index("idx_users_region", "region", "created_at", "id"),
        Index("idx_users_user_type", "user_type", "status", "created_at", "id"),
        # The few, for lists of a role or a status alone.
        Index(
            "idx_users_staff",
            "user_type",
            "created_at",
            "id",
            postgresql_where=text("user_type <> 'student'"),
        ),
        Index(
            "idx_users_status",
            "status",
            "created_at",
            "id",
            postgresql_where=text("status <> 'active'"),
        ),
        Index(
            "idx_users_name",
            text('lower(last_name) COLLATE "C"'),
            text('lower(first_name) COLLATE "C"'),
            "id",
        ),
        Index("idx_users_email_prefix", text('email COLLATE "C"'), "id"),
        {"comment": "Accounts, on the home shard of their region only"},
    )
