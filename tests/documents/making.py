"""What the tests of documents share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from elearning.documents import CourseContent, Documents, add_quiz, add_video
from elearning.flows import Platform
from elearning.ids import new_id

__all__ = ["QUESTION", "Commands", "listened", "quiz", "stored", "video"]

QUESTION: dict[str, Any] = {"prompt": "1 + 1?", "choices": ["1", "2"], "answer": 1}
_ITS_OWN = {"hello", "ismaster", "ping", "saslStart", "saslContinue", "endSessions"}


class Commands(CommandListener):
    """Notes the commands that MongoDB is sent."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sent: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name not in _ITS_OWN:
            self.names.append(event.command_name)
            self.sent.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to note."""

    def clear(self) -> None:
        self.names.clear()
        self.sent.clear()


@asynccontextmanager
async def listened(platform: Platform) -> AsyncIterator[Commands]:
    """Bind the documents meanwhile to a connection whose commands are noted."""
    commands = Commands()
    documents = Documents(platform.settings.mongodb, listeners=[commands])
    try:
        await documents.open()
        commands.clear()
        yield commands
    finally:
        await documents.close()
        await platform.documents.open()


async def video(**changes: Any) -> CourseContent:
    """Store a video of a new course."""
    values: dict[str, Any] = {
        "course_id": new_id("asia"),
        "lesson_id": new_id("asia"),
        "video_url": "https://media.example.org/1",
    }
    return await add_video(**values | changes)


async def quiz(**changes: Any) -> CourseContent:
    """Store a quiz of a new course."""
    values: dict[str, Any] = {
        "course_id": new_id("asia"),
        "lesson_id": new_id("asia"),
        "questions": [QUESTION],
    }
    return await add_quiz(**values | changes)


async def stored(documents: Documents, content_id: UUID) -> dict[str, Any]:
    """Return a content as MongoDB has it."""
    found: dict[str, Any] = await documents.database["course_content"].find_one(
        {"content_id": content_id}
    )
    return found
