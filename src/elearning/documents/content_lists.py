"""Lists of contents, a page at a time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar
from uuid import UUID

from elearning.documents.checks import valid
from elearning.documents.course_content import ContentSummary, CourseContent, ShownContent
from elearning.errors import InvalidId, InvalidPage, InvalidText
from elearning.ids import parse_id

__all__ = ["ContentPage", "list_course_contents", "list_lesson_contents"]

S = TypeVar("S", bound=ContentSummary)

_MOST_SUMMARIES = 1000
_MOST_SHOWN = 100  # with all their questions
_MARK = 8  # bytes that tell which list a cursor is of


@dataclass(frozen=True, slots=True)
class ContentPage(Generic[S]):
    """A page of contents.

    Attributes:
        items: what is on it.
        next: where the next page begins, fit for a URL; None: this is the last one.
    """

    items: Sequence[S]
    next: str | None


async def list_course_contents(
    course_id: UUID, *, size: int = 50, after: str | None = None
) -> ContentPage[ContentSummary]:
    """Return contents of a course, by lesson, and in a lesson by their age.

    Args:
        course_id: the course.
        size: how many at most, 1 to 1000.
        after: what the page before gave as `next`; None: the first page.

    Raises:
        InvalidId, InvalidText: wrong input.
        InvalidPage: the cursor is damaged, or of another list.
        NodeUnavailable: MongoDB does not answer.
    """
    course_id = parse_id(course_id)
    condition: dict[str, Any] = {"course_id": course_id}
    if after is not None:
        lesson_id, content_id = _position(course_id, after)
        condition["$or"] = [
            {"lesson_id": lesson_id, "content_id": {"$gt": content_id}},
            {"lesson_id": {"$gt": lesson_id}},
        ]
    order = ["lesson_id", "content_id"]
    return await _page(course_id, condition, order, ContentSummary, _size(size, _MOST_SUMMARIES))


async def list_lesson_contents(
    lesson_id: UUID, *, size: int = 20, after: str | None = None
) -> ContentPage[ShownContent]:
    """Return the contents of a lesson as students see them, by their age.

    Args:
        lesson_id: the lesson.
        size: how many at most, 1 to 100.
        after: what the page before gave as `next`; None: the first page.

    Raises:
        InvalidId, InvalidText: wrong input.
        InvalidPage: the cursor is damaged, or of another list.
        NodeUnavailable: MongoDB does not answer.
    """
    lesson_id = parse_id(lesson_id)
    condition: dict[str, Any] = {"lesson_id": lesson_id}
    if after is not None:
        condition["content_id"] = {"$gt": _position(lesson_id, after)[1]}
    return await _page(lesson_id, condition, ["content_id"], ShownContent, _size(size, _MOST_SHOWN))


async def _page(
    owner: UUID, condition: dict[str, Any], order: list[str], model: type[S], size: int
) -> ContentPage[S]:
    with valid("content"):
        # One more, which tells whether there is a next page.
        found = (
            await CourseContent.find(condition, projection_model=model)
            .sort(*order)
            .limit(size + 1)
            .to_list()
        )
    items = found[:size]
    return ContentPage(items, _cursor(owner, items[-1]) if len(found) > size else None)


def _size(size: object, most: int) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= most:
        raise InvalidText(field="size", problem=f"is {size!r:.50}, expected 1 to {most}")
    return size


def _cursor(owner: UUID, last: ContentSummary) -> str:
    position = last.lesson_id.bytes + last.content_id.bytes
    return base64.urlsafe_b64encode(position + _mark(owner, position)).decode("ascii")


def _mark(owner: UUID, position: bytes) -> bytes:
    return sha256(owner.bytes + position).digest()[:_MARK]


def _position(owner: UUID, cursor: str) -> tuple[UUID, UUID]:
    try:
        data = base64.b64decode(cursor, altchars=b"-_", validate=True)
        position, mark = data[:-_MARK], data[-_MARK:]
        lesson_id, content_id = (
            parse_id(UUID(bytes=each)) for each in (position[:16], position[16:])
        )
    except (binascii.Error, InvalidId, TypeError, ValueError):
        raise InvalidPage(problem="is damaged") from None
    if mark != _mark(owner, position):
        raise InvalidPage(problem="is of another list")
    return lesson_id, content_id
