"""What a lesson shows: the collection ``course_content``."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Self
from uuid import UUID

from beanie import Document
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from pymongo import IndexModel

__all__ = ["ContentType", "CourseContent", "QualityOption", "QuizQuestion"]


class ContentType(StrEnum):
    """The kinds of content."""

    VIDEO = "video"
    DOCUMENT = "document"
    QUIZ = "quiz"


class QualityOption(BaseModel):
    """One encoding of a video."""

    model_config = ConfigDict(extra="forbid")

    label: str
    height: PositiveInt
    url: str
    bitrate_kbps: PositiveInt | None = None


class QuizQuestion(BaseModel):
    """A question with its choices; ``answer`` is the index of the right one."""

    model_config = ConfigDict(extra="forbid")

    prompt: str
    choices: list[str] = Field(min_length=2)
    answer: int = Field(ge=0)

    @model_validator(mode="after")
    def _answer_is_a_choice(self) -> Self:
        if self.answer >= len(self.choices):
            msg = f"answer {self.answer} is no index of {len(self.choices)} choices"
            raise ValueError(msg)
        return self


def _now() -> datetime:
    return datetime.now(UTC)


class CourseContent(Document):
    """The content of a lesson, linked to PostgreSQL by course and lesson id."""

    content_id: UUID
    course_id: UUID
    lesson_id: UUID
    content_type: ContentType
    title: str = ""
    video_url: str | None = None
    document_url: str | None = None
    duration_seconds: int | None = Field(default=None, ge=0)
    page_count: int | None = Field(default=None, ge=0)
    thumbnail_url: str | None = None
    quality_options: list[QualityOption] = Field(default_factory=list)
    questions: list[QuizQuestion] = Field(default_factory=list)
    views: int = Field(default=0, ge=0)
    created_at: datetime = Field(default_factory=_now)
    updated_at: datetime = Field(default_factory=_now)

    @model_validator(mode="after")
    def _has_what_its_type_shows(self) -> Self:
        needed = {
            ContentType.VIDEO: ("video_url", self.video_url),
            ContentType.DOCUMENT: ("document_url", self.document_url),
            ContentType.QUIZ: ("questions", self.questions),
        }
        name, value = needed[self.content_type]
        if not value:
            msg = f"content of type {self.content_type} needs {name}"
            raise ValueError(msg)
        return self

    class Settings:
        """Beanie's settings."""

        name = "course_content"
        indexes: ClassVar[list[Any]] = [
            IndexModel("content_id", name="content_id", unique=True),
            IndexModel("course_id", name="course_id"),
            IndexModel("lesson_id", name="lesson_id"),
        ]
