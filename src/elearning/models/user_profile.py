"""What an account tells about the person."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.types import same_home
from elearning.models.user import User

__all__ = ["UserProfile"]


class UserProfile(Regional):
    """One per user."""

    __tablename__ = "user_profiles"
    __owner__ = "user"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), unique=True)
    phone_number: Mapped[str | None] = mapped_column(String(32))
    date_of_birth: Mapped[date | None]
    country: Mapped[str | None] = mapped_column(String(2), comment="ISO 3166-1 alpha-2")
    subdivision: Mapped[str | None] = mapped_column(
        String(100), comment="state, province or region inside the country"
    )
    city: Mapped[str | None] = mapped_column(String(100))
    bio: Mapped[str | None] = mapped_column(Text)
    avatar_url: Mapped[str | None] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(
        String(35), default="en", server_default="en", comment="BCP 47 tag"
    )
    time_zone: Mapped[str] = mapped_column(
        String(64), default="UTC", server_default="UTC", comment="name of the IANA database"
    )

    user: Mapped[User] = relationship(back_populates="profile", lazy="raise")

    __table_args__ = (
        same_home("user_id"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        {
            "comment": "What an account tells about the person",
            "info": {"fixed": ("user_id",)},
        },
    )
