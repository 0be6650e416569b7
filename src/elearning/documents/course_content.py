"""What a lesson shows: the collection ``course_content``."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from beanie import Document
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pymongo import IndexModel

from elearning.documents.times import now

__all__ = [
    "ContentSummary",
    "ContentType",
    "CourseContent",
    "QualityOption",
    "QuizQuestion",
    "ShownContent",
    "ShownQuestion",
]

# A document has an end: MongoDB refuses one of more than 16 MB.
Title = Annotated[str, StringConstraints(max_length=300)]
Address = Annotated[str, StringConstraints(max_length=2_000)]
Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
Height = Annotated[int, Field(gt=0, le=2**31 - 1)]
Choice = Annotated[str, StringConstraints(max_length=500)]


class ContentType(StrEnum):
    """The kinds of content."""

    VIDEO = "video"
    DOCUMENT = "document"
    QUIZ = "quiz"


class QualityOption(BaseModel):
    """One encoding of a video."""

    model_config = ConfigDict(extra="forbid")

    label: Title
    height: Height
    url: Address
    bitrate_kbps: Height | None = None


class QuizQuestion(BaseModel):
    """A question with its choices; ``answer`` is the index of the right one."""

    model_config = ConfigDict(extra="forbid")

    __by_name__: ClassVar[frozenset[str]] = frozenset({"answer"})
    """What `elearning.plain.to_dict` shows only where it is asked for."""

    prompt: Annotated[str, StringConstraints(max_length=2_000)]
    choices: list[Choice] = Field(min_length=2, max_length=20)
    answer: int = Field(ge=0)

    @model_validator(mode="after")
    def _answer_is_a_choice(self) -> Self:
        if self.answer >= len(self.choices):
            msg = f"answer {self.answer} is no index of {len(self.choices)} choices"
            raise ValueError(msg)
        return self


class ContentSummary(BaseModel):
    """A content as lists show it."""

    content_id: UUID
    course_id: UUID
    lesson_id: UUID
    content_type: ContentType
    title: str = ""
    duration_seconds: int | None = None
    page_count: int | None = None
    thumbnail_url: str | None = None
    views: int = 0
    downloads: int = 0
    created_at: datetime
    updated_at: datetime


class ShownQuestion(BaseModel):
    """A question as a student sees it."""

    prompt: str
    choices: list[str]


class ShownContent(ContentSummary):
    """A content as a student sees it; the answers of a quiz are not even read."""

    video_url: str | None = None
    document_url: str | None = None
    quality_options: list[QualityOption] = []
    questions: list[ShownQuestion] = []

    class Settings:
        """Beanie's settings."""

        projection: ClassVar[dict[str, int]] = {"_id": 0, "questions.answer": 0}


class CourseContent(Document):
    """The content of a lesson, linked to PostgreSQL by course and lesson id."""

    __internal__: ClassVar[frozenset[str]] = frozenset({"id", "revision_id"})
    """What `elearning.plain.to_dict` does not know: MongoDB's and Beanie's own."""

    content_id: UUID
    course_id: UUID
    lesson_id: UUID
    content_type: ContentType
    title: Title = ""
    video_url: Address | None = None
    document_url: Address | None = None
    duration_seconds: Number | None = None
    page_count: Number | None = None
    thumbnail_url: Address | None = None
    quality_options: list[QualityOption] = Field(default_factory=list, max_length=50)
    questions: list[QuizQuestion] = Field(default_factory=list, max_length=200)
    views: int = Field(default=0, ge=0)
    downloads: int = Field(default=0, ge=0)
    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=now)

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
            # The orders of lists; an id begins with the time when it was made.
            IndexModel(["course_id", "lesson_id", "content_id"], name="course_id_page"),
            IndexModel(["lesson_id", "content_id"], name="lesson_id_page"),
        ]
