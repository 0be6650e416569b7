"""How a user likes to learn: the collection ``user_preferences``."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID

from beanie import Document
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
)
from pymongo import IndexModel

from elearning.documents.times import now
from elearning.ids import parse_id

__all__ = [
    "MOST_VIEWED",
    "MOST_WISHES",
    "DifficultyLevel",
    "LearningPace",
    "LearningPreferences",
    "NotificationPreferences",
    "Preferences",
    "RecentlyViewed",
    "UserPreferences",
]

MOST_VIEWED = 50
"""How many courses are kept as recently viewed."""

MOST_WISHES = 500
"""How many courses a wishlist holds."""

CourseId = Annotated[UUID, AfterValidator(parse_id)]


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

    preferred_categories: list[str] = Field(default=[], max_length=100)
    difficulty_level: DifficultyLevel = DifficultyLevel.BEGINNER
    learning_pace: LearningPace = LearningPace.MODERATE


class NotificationPreferences(BaseModel):
    """What to be told, and how."""

    model_config = ConfigDict(extra="forbid")

    email: bool = True
    push: bool = False


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        msg = "is in no year from 1 to 9999 in UTC"
        raise ValueError(msg) from None


class RecentlyViewed(BaseModel):
    """A course that was looked at."""

    model_config = ConfigDict(extra="forbid")

    course_id: CourseId
    # As MongoDB has it, whose driver fails where the year leaves its range.
    viewed_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]


def _each_once(ids: list[UUID]) -> list[UUID]:
    if len(set(ids)) < len(ids):
        msg = "a course is in it twice"
        raise ValueError(msg)
    return ids


def _newest_first(viewed: list[RecentlyViewed]) -> list[RecentlyViewed]:
    _each_once([each.course_id for each in viewed])
    return sorted(viewed, key=lambda each: each.viewed_at, reverse=True)


class Preferences(BaseModel):
    """All preferences of a user."""

    model_config = ConfigDict(extra="forbid")

    learning: LearningPreferences = Field(default_factory=LearningPreferences)
    notifications: NotificationPreferences = Field(default_factory=NotificationPreferences)
    wishlist: Annotated[list[CourseId], AfterValidator(_each_once)] = Field(
        default=[], max_length=MOST_WISHES
    )
    recently_viewed: Annotated[list[RecentlyViewed], AfterValidator(_newest_first)] = Field(
        default=[], max_length=MOST_VIEWED
    )


class UserPreferences(Document):
    """A user's preferences, linked to PostgreSQL by the user's id alone."""

    __internal__: ClassVar[frozenset[str]] = frozenset({"id", "revision_id"})
    """What `elearning.plain.to_dict` does not know: MongoDB's and Beanie's own."""

    user_id: UUID
    preferences: Preferences = Field(default_factory=Preferences)
    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=now)

    class Settings:
        """Beanie's settings."""

        name = "user_preferences"
        indexes: ClassVar[list[Any]] = [IndexModel("user_id", name="user_id", unique=True)]
