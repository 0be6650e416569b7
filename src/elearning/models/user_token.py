"""What an account is sent by mail to prove that it reads it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from elearning.models.base import Regional
from elearning.models.types import enum_type, same_home
from elearning.models.user import User

__all__ = ["TokenPurpose", "UserToken"]


class TokenPurpose(StrEnum):
    """What a token is good for."""

    PASSWORD_RESET = "password_reset"  # noqa: S105 - no password
    EMAIL_VERIFICATION = "email_verification"


class UserToken(Regional):
    """A secret that is used once; only its hash is stored."""

    __tablename__ = "user_tokens"
    __owner__ = "user"
    __secret__ = frozenset({"token_hash"})

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    purpose: Mapped[TokenPurpose] = mapped_column(
        enum_type(TokenPurpose), comment="what the token is good for"
    )
    token_hash: Mapped[bytes] = mapped_column(
        LargeBinary, unique=True, comment="SHA-256 of the secret, which is stored nowhere"
    )
    email: Mapped[str] = mapped_column(String(254), comment="the address that it was made for")
    expires_at: Mapped[datetime] = mapped_column(comment="from then on it is good for nothing")
    used_at: Mapped[datetime | None] = mapped_column(
        comment="when it was used, or replaced by a newer one"
    )

    user: Mapped[User] = relationship(lazy="raise")

    __table_args__ = (
        same_home("user_id"),
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash"),
        Index("idx_user_tokens_user_id", "user_id", "purpose"),
        Index("idx_user_tokens_expires_at", "expires_at"),
        {
            "comment": "Secrets of one use that were sent by mail",
            "info": {"fixed": ("user_id", "purpose", "token_hash", "email", "expires_at")},
        },
    )
