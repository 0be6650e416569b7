"""How a user likes to learn: the collection ``user_preferences``."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from beanie import Document
from pydantic import BaseModel, ConfigDict, Field
from pymongo import IndexModel

__all__ = [
    "DifficultyLevel",
    "LearningPace",
    "LearningPreferences",
    "NotificationPreferences",
    "Preferences",
    "RecentlyViewed",
    "UserPreferences",
]


class DifficultyLevel(StrEnum):
    """The level of courses to suggest."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"


class LearningPace(StrEnum):
    """How fast somebody wants to go."""

    SLOW = "slow"
    MODERATE = "moderate"
    FAST = "fast"


class LearningPreferences(BaseModel):
    """What to suggest."""

    model_config = ConfigDict(extra="forbid")

    preferred_categories: list[str] = []
    difficulty_level: DifficultyLevel = DifficultyLevel.BEGINNER
    learning_pace: LearningPace = LearningPace.MODERATE


class NotificationPreferences(BaseModel):
    """What to be told, and how."""

    model_config = ConfigDict(extra="forbid")

    email: bool = True
    push: bool = False


class RecentlyViewed(BaseModel):
    """A course that was looked at."""

    model_config = ConfigDict(extra="forbid")

    course_id: UUID
    viewed_at: datetime


class Preferences(BaseModel):
    """All preferences of a user."""

    model_config = ConfigDict(extra="forbid")

    learning: LearningPreferences = Field(default_factory=LearningPreferences)
    notifications: NotificationPreferences = Field(default_factory=NotificationPreferences)
    wishlist: list[UUID] = []
    recently_viewed: list[RecentlyViewed] = []


def _now() -> datetime:
    return datetime.now(UTC)


class UserPreferences(Document):
    """A user's preferences, linked to PostgreSQL by the user's id alone."""

    user_id: UUID
    preferences: Preferences = Field(default_factory=Preferences)
    created_at: datetime = Field(default_factory=_now)
    updated_at: datetime = Field(default_factory=_now)

    class Settings:
        """Beanie's settings."""

        name = "user_preferences"
        indexes: ClassVar[list[Any]] = [IndexModel("user_id", name="user_id", unique=True)]
