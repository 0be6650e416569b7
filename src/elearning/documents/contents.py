"""What is done with the content of lessons; each operation is one command, atomic at the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from beanie import UpdateResponse
from pydantic import BaseModel
from pymongo.errors import DuplicateKeyError

from elearning.documents.checks import checked, checked_changes, checked_ids, valid
from elearning.documents.course_content import (
    ContentType,
    CourseContent,
    QualityOption,
    QuizQuestion,
    ShownContent,
)
from elearning.errors import (
    ContentExists,
    ContentNotFound,
    ContentOfOtherType,
    InvalidDocument,
    UnknownField,
)
from elearning.ids import new_id, parse_id, region_of

__all__ = [
    "add_document",
    "add_quiz",
    "add_video",
    "count_download",
    "count_view",
    "create_content",
    "delete_content",
    "get_content",
    "set_lesson",
    "show_content",
    "update_content",
]

_COMMON = ("title", "duration_seconds", "thumbnail_url")
_OWN = {
    ContentType.VIDEO: ("video_url", "quality_options"),
    ContentType.DOCUMENT: ("document_url", "page_count"),
    ContentType.QUIZ: ("questions",),
}
_NEEDED = {"video_url", "document_url", "questions"}
"""A content of its type shows nothing without it."""
_CHANGING = {"updated_at": True}


async def create_content(
    course_id: UUID,
    lesson_id: UUID,
    content_type: ContentType | str,
    *,
    content_id: UUID | None = None,
    **fields: Any,
) -> CourseContent:
    """Store a new content.

    Args:
        course_id: a course.
        lesson_id: a lesson of it; that it is one is not looked up.
        content_type: what it is; tells which fields it has.
        content_id: its id, as the lesson in PostgreSQL may have it already; default: a new one.
        **fields: `title`, `duration_seconds`, `thumbnail_url`; of a video `video_url` and
            `quality_options`, of a document `document_url` and `page_count`, of a quiz `questions`.

    Raises:
        InvalidId, InvalidDocument, UnknownField: wrong input.
        ContentExists: there is one of this id.
        NodeUnavailable: MongoDB does not answer.
    """
    if content_id is None:
        content_id = new_id(region_of(parse_id(course_id)))
    course_id, lesson_id, content_id = checked_ids(
        "content", course_id=course_id, lesson_id=lesson_id, content_id=content_id
    )
    kind = _type(content_type)
    known = (*_COMMON, *_OWN[kind])
    for name in fields:
        if name not in known:
            what = f"a content of type {kind}"
            raise UnknownField(what=what, field=name[:80], known=", ".join(known))
    content = checked(
        "content",
        CourseContent,
        fields
        | {
            "content_id": content_id,
            "course_id": course_id,
            "lesson_id": lesson_id,
            "content_type": kind,
        },
    )
    with valid("content"):
        try:
            await content.insert()
        except DuplicateKeyError:
            raise ContentExists(content_id=content_id) from None
    return content


def _type(value: ContentType | str) -> ContentType:
    try:
        return ContentType(value)
    except ValueError:
        problem = f"{str(value)[:80]!r} is none of {', '.join(ContentType)}"
        raise InvalidDocument(document="content", field="content_type", problem=problem) from None


async def add_video(
    course_id: UUID,
    lesson_id: UUID,
    video_url: str,
    *,
    quality_options: Iterable[QualityOption | Mapping[str, Any]] = (),
    duration_seconds: int | None = None,
    title: str = "",
    thumbnail_url: str | None = None,
    content_id: UUID | None = None,
) -> CourseContent:
    """Store a video, with its encodings; see `create_content`."""
    return await create_content(
        course_id,
        lesson_id,
        ContentType.VIDEO,
        content_id=content_id,
        video_url=video_url,
        quality_options=_listed(quality_options),
        duration_seconds=duration_seconds,
        title=title,
        thumbnail_url=thumbnail_url,
    )


async def add_document(
    course_id: UUID,
    lesson_id: UUID,
    document_url: str,
    *,
    page_count: int | None = None,
    title: str = "",
    thumbnail_url: str | None = None,
    content_id: UUID | None = None,
) -> CourseContent:
    """Store a document to read; see `create_content`."""
    return await create_content(
        course_id,
        lesson_id,
        ContentType.DOCUMENT,
        content_id=content_id,
        document_url=document_url,
        page_count=page_count,
        title=title,
        thumbnail_url=thumbnail_url,
    )


async def add_quiz(
    course_id: UUID,
    lesson_id: UUID,
    questions: Iterable[QuizQuestion | Mapping[str, Any]],
    *,
    duration_seconds: int | None = None,
    title: str = "",
    content_id: UUID | None = None,
) -> CourseContent:
    """Store a quiz; see `create_content`."""
    return await create_content(
        course_id,
        lesson_id,
        ContentType.QUIZ,
        content_id=content_id,
        questions=_listed(questions),
        duration_seconds=duration_seconds,
        title=title,
    )


def _listed(values: object) -> object:
    """Return what is to be checked as a list."""
    return list(values) if isinstance(values, Iterable) else values


async def get_content(content_id: UUID) -> CourseContent:
    """Return all of a content, as its author sees it: with the answers of a quiz.

    Raises:
        InvalidId: not an id.
        ContentNotFound: there is none.
        NodeUnavailable: MongoDB does not answer.
    """
    content_id = parse_id(content_id)
    with valid("content"):
        found = await CourseContent.find_one({"content_id": content_id})
    if found is None:
        raise ContentNotFound(content_id=content_id)
    return found


async def show_content(content_id: UUID) -> ShownContent:
    """Return a content as a student sees it: the answers of a quiz do not leave MongoDB.

    Raises:
        InvalidId: not an id.
        ContentNotFound: there is none.
        NodeUnavailable: MongoDB does not answer.
    """
    content_id = parse_id(content_id)
    with valid("content"):
        found = await CourseContent.find_one(
            {"content_id": content_id}, projection_model=ShownContent
        )
    if found is None:
        raise ContentNotFound(content_id=content_id)
    return found


async def update_content(content_id: UUID, /, **changes: Any) -> CourseContent:
    """Change fields of a content, those that `create_content` names, and return it.

    Raises:
        InvalidId, InvalidDocument, UnknownField: wrong input.
        ContentNotFound: there is none.
        ContentOfOtherType: a content of its type has no such field.
        NodeUnavailable: MongoDB does not answer.
    """
    content_id = parse_id(content_id)
    known = (*_COMMON, *(name for names in _OWN.values() for name in names))
    for name in changes:
        if name not in known:
            raise UnknownField(what="content", field=name[:80], known=", ".join(known))
    stored = checked_changes("content", CourseContent, changes)
    for name in _NEEDED & stored.keys():
        if not stored[name]:
            problem = "a content of its type shows nothing without it"
            raise InvalidDocument(document="content", field=name, problem=problem)
    special = stored.keys() - {*_COMMON}
    types = [kind for kind, names in _OWN.items() if special <= {*names}]
    with valid("content"):
        updated = await CourseContent.find_one(
            {"content_id": content_id, "content_type": {"$in": types}}
        ).update(
            {"$set": stored, "$currentDate": _CHANGING},
            response_type=UpdateResponse.NEW_DOCUMENT,
        )
    if isinstance(updated, CourseContent):
        return updated
    kind = await _type_of(content_id)
    raise ContentOfOtherType(
        content_id=content_id, content_type=kind, fields=", ".join(sorted(special - {*_OWN[kind]}))
    )


class _TypeAlone(BaseModel):
    content_type: ContentType


async def _type_of(content_id: UUID) -> ContentType:
    with valid("content"):
        found = await CourseContent.find_one(
            {"content_id": content_id}, projection_model=_TypeAlone
        )
    if found is None:
        raise ContentNotFound(content_id=content_id)
    return found.content_type


async def set_lesson(
    content_id: UUID, lesson_id: UUID, *, course_id: UUID | None = None
) -> CourseContent:
    """Give a content to another lesson, perhaps of another course, and return it.

    Args:
        content_id: the content.
        lesson_id: its lesson from now on.
        course_id: the course of that; default: the one that it has.

    Raises:
        InvalidId, InvalidDocument: wrong input; a content stays in its region.
        ContentNotFound: there is none.
        NodeUnavailable: MongoDB does not answer.
    """
    ids = {"content_id": content_id, "lesson_id": lesson_id}
    if course_id is not None:
        ids["course_id"] = course_id
    content_id, *places = checked_ids("content", **ids)
    stored = dict(zip(["lesson_id", "course_id"], places, strict=False))
    with valid("content"):
        updated = await CourseContent.find_one({"content_id": content_id}).update(
            {"$set": stored, "$currentDate": _CHANGING},
            response_type=UpdateResponse.NEW_DOCUMENT,
        )
    if not isinstance(updated, CourseContent):
        raise ContentNotFound(content_id=content_id)
    return updated


async def delete_content(content_id: UUID) -> None:
    """Delete a content.

    Raises:
        InvalidId: not an id.
        ContentNotFound: there is none.
        NodeUnavailable: MongoDB does not answer.
    """
    content_id = parse_id(content_id)
    with valid("content"):
        result = await CourseContent.find_one({"content_id": content_id}).delete()
    if result is None or not result.deleted_count:
        raise ContentNotFound(content_id=content_id)


async def count_view(content_id: UUID) -> None:
    """Count that a content was shown.

    Raises:
        InvalidId: not an id.
        ContentNotFound: there is none.
        NodeUnavailable: MongoDB does not answer.
    """
    await _count(content_id, "views")


async def count_download(content_id: UUID) -> None:
    """Count that a content was downloaded.

    Raises:
        InvalidId: not an id.
        ContentNotFound: there is none.
        NodeUnavailable: MongoDB does not answer.
    """
    await _count(content_id, "downloads")


async def _count(content_id: UUID, field: str) -> None:
    content_id = parse_id(content_id)
    with valid("content"):
        # The content is the same as before: updated_at stays.
        result: Any = await CourseContent.find_one({"content_id": content_id}).update(
            {"$inc": {field: 1}}
        )
    if not result.matched_count:
        raise ContentNotFound(content_id=content_id)
