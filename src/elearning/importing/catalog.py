"""Loads a region's catalog from a TOML file of `fixtures/`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from elearning.crud import NewUser, create_user_with_profile, get_user_by_email
from elearning.documents import CourseContent, Preferences
from elearning.errors import ElearningError, MalformedFile
from elearning.ids import new_id
from elearning.models import (
    Course,
    CourseCategory,
    CourseLesson,
    CourseLevel,
    CourseModule,
    CourseStatus,
    LessonType,
    OutboxMessage,
    UserType,
)
from elearning.money import to_minor
from elearning.regions import Region

__all__ = ["CatalogCounts", "fixtures_folder", "load_catalog", "read_people"]

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(slots=True)
class CatalogCounts:
    """What was added; what was there before does not count."""

    instructors: int = 0
    categories: int = 0
    courses: int = 0
    lessons: int = 0


def fixtures_folder() -> Path:
    """Return the sample data that ships with the package, or of the checkout."""
    installed = _PACKAGE / "_fixtures"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "fixtures"


def load_catalog(session: Session, region: Region, file: Path) -> CatalogCounts:
    """Load a region's catalog; what is there already is left as it is.

    Content documents are written to the outbox. The caller commits.

    Raises:
        MalformedFile: the file is not what `fixtures/README.md` describes.
    """
    try:
        return _Loader(session, region).load(_read(file))
    except (KeyError, TypeError, ValueError, ArithmeticError, ElearningError) as error:
        if isinstance(error, MalformedFile):
            raise
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise MalformedFile(file=file, problem=what) from error


def read_people(file: Path) -> list[NewUser]:
    """Return the people of ``people.toml``.

    Raises:
        MalformedFile: the file is not what `fixtures/README.md` describes.
    """
    try:
        return [
            NewUser(**person | {"preferences": Preferences(learning=person["preferences"])})
            for person in _read(file)["people"]
        ]
    except (KeyError, TypeError, ValidationError, ElearningError) as error:
        raise MalformedFile(file=file, problem=str(error)) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MalformedFile(file=file, problem=str(error)) from error


class _Loader:
    def __init__(self, session: Session, region: Region) -> None:
        self.session = session
        self.region = region
        self.counts = CatalogCounts()
        self.instructors: dict[str, UUID] = {}
        self.categories: dict[str, CourseCategory] = {
            category.slug: category
            for category in session.scalars(
                select(CourseCategory).with_for_update(read=True),
            )
            if category.id.bytes[7] == region.code
        }

    def load(self, data: dict[str, Any]) -> CatalogCounts:
        for instructor in data["instructors"]:
            self._instructor(instructor)
        for category in data["categories"]:
            self._category(category)
        for course in data["courses"]:
            self._course(course)
        self.session.flush()
        return self.counts

    def _instructor(self, data: dict[str, Any]) -> None:
        found = get_user_by_email(self.session, data["email"])
        if found is None:
            self.counts.instructors += 1
            new = NewUser(region=self.region, user_type=UserType.INSTRUCTOR, **data)
            self.instructors[data["email"]] = create_user_with_profile(self.session, new)
        else:
            self.instructors[data["email"]] = found.id

    def _category(self, data: dict[str, Any]) -> None:
        if data["slug"] not in self.categories:
            self.counts.categories += 1
            category = CourseCategory(
                id=new_id(self.region),
                slug=data["slug"],
                category_name=data["name"],
                description=data["description"],
                parent=self.categories[data["parent"]] if "parent" in data else None,
            )
            self.session.add(category)
            self.categories[data["slug"]] = category

    def _course(self, data: dict[str, Any]) -> None:
        code = data["code"]
        if self.session.scalar(
            select(Course.id).where(Course.course_code == code).with_for_update(read=True)
        ):
            return
        self.counts.courses += 1
        status = CourseStatus(data["status"])
        now = datetime.now(UTC)
        course = Course(
            id=new_id(self.region),
            course_code=code,
            slug=data["slug"],
            title=data["title"],
            description=data["description"],
            instructor_id=self.instructors[data["instructor"]],
            category=self.categories[data["category"]],
            level=CourseLevel(data["level"]),
            language=data["language"],
            price_minor=to_minor(data["price"], data["currency"]),
            currency=data["currency"],
            duration_hours=Decimal(data["duration_hours"]),
            max_enrollments=data.get("max_enrollments"),
            status=status,
            published_at=None if status is CourseStatus.DRAFT else now,
            archived_at=now if status is CourseStatus.ARCHIVED else None,
        )
        self.session.add(course)
        for number, module in enumerate(data["modules"], start=1):
            self._module(course, number, module)

    def _module(self, course: Course, number: int, data: dict[str, Any]) -> None:
        module = CourseModule(
            id=new_id(self.region), course=course, position=number, title=data["title"]
        )
        self.session.add(module)
        for place, lesson in enumerate(data["lessons"], start=1):
            self._lesson(module, place, lesson)

    def _lesson(self, module: CourseModule, number: int, data: dict[str, Any]) -> None:
        self.counts.lessons += 1
        lesson = CourseLesson(
            id=new_id(self.region),
            module=module,
            position=number,
            title=data["title"],
            lesson_type=LessonType(data["type"]),
            content_id=new_id(self.region),
            duration_minutes=data["duration_minutes"],
            is_preview=data.get("preview", False),
        )
        content = CourseContent.model_validate(
            data["content"]
            | {
                "content_id": lesson.content_id,
                "course_id": module.course.id,
                "lesson_id": lesson.id,
            }
        )
        message = content.model_dump(mode="json", exclude={"id", "revision_id"})
        self.session.add_all([lesson, OutboxMessage(topic="lesson_content", payload=message)])
