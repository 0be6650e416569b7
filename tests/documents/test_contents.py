from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID, uuid4

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.documents import (
    ContentType,
    CourseContent,
    QualityOption,
    QuizQuestion,
    add_document,
    add_quiz,
    add_to_wishlist,
    add_video,
    count_download,
    count_view,
    create_content,
    delete_content,
    get_content,
    get_preferences,
    list_course_contents,
    set_lesson,
    show_content,
    update_content,
)
from elearning.errors import (
    ContentExists,
    ContentNotFound,
    ContentOfOtherType,
    ElearningError,
    InvalidDocument,
    InvalidId,
    NodeUnavailable,
    UnknownField,
)
from elearning.flows import Platform
from elearning.ids import new_id, region_of
from elearning.plain import to_dict
from elearning.regions import Region
from tests.documents.making import QUESTION, listened, quiz, stored, video

HD = QualityOption(label="720p", height=720, url="https://media.example.org/720")


async def test_a_video_with_its_encodings(platform: Platform) -> None:
    course_id, lesson_id = new_id("africa"), new_id("africa")
    made = await add_video(
        course_id,
        lesson_id,
        "https://media.example.org/1",
        quality_options=[HD, {"label": "4k", "height": 2160, "url": "u", "bitrate_kbps": 9000}],
        duration_seconds=900,
        title="First steps",
    )
    assert region_of(made.content_id) is Region.AFRICA
    found = await get_content(made.content_id)
    assert found == made
    assert found.content_type is ContentType.VIDEO
    assert [each.height for each in found.quality_options] == [720, 2160]
    assert (found.views, found.downloads) == (0, 0)
    raw = await stored(platform.documents, made.content_id)
    assert isinstance(raw["lesson_id"], UUID)
    assert raw["content_type"] == "video"


async def test_a_document_and_a_quiz(platform: Platform) -> None:
    course_id, lesson_id = new_id("asia"), new_id("asia")
    paper = await add_document(course_id, lesson_id, "https://x.example/a.pdf", page_count=12)
    assert (await get_content(paper.content_id)).page_count == 12
    test = await add_quiz(course_id, lesson_id, [QUESTION], title="Test")
    assert (await get_content(test.content_id)).questions == [QuizQuestion(**QUESTION)]


async def test_an_id_is_one_contents(platform: Platform) -> None:
    first = await video(content_id=new_id("asia"), title="first")
    with pytest.raises(ContentExists, match=str(first.content_id)):
        await video(content_id=first.content_id, title="second")
    assert (await get_content(first.content_id)).title == "first"
    assert await CourseContent.count() == 1


async def test_students_do_not_see_answers(platform: Platform) -> None:
    made = await quiz(title="T")
    async with listened(platform) as commands:
        shown = await show_content(made.content_id)
        assert commands.sent[0]["projection"] == {"_id": 0, "questions.answer": 0}
    assert shown.questions[0].prompt == QUESTION["prompt"]
    assert "answer" not in shown.model_dump_json()
    assert "answer" not in json.dumps(to_dict(shown, json=True))
    # Nor of the whole document, unless somebody asks for them by their name.
    whole = await get_content(made.content_id)
    assert "answer" not in json.dumps(to_dict(whole, json=True))
    assert to_dict(whole, "questions.answer") == {"questions": [{"answer": 1}]}
    assert to_dict(whole).keys().isdisjoint({"id", "revision_id"})


async def test_fields_are_changed_by_themselves(platform: Platform) -> None:
    made = await video(title="old", duration_seconds=5)
    await count_view(made.content_id)
    async with listened(platform) as commands:
        updated = await update_content(made.content_id, title="new", quality_options=[HD])
        assert commands.names == ["findAndModify"]
    assert updated == await get_content(made.content_id)
    assert (updated.title, updated.duration_seconds, updated.views) == ("new", 5, 1)
    assert updated.quality_options == [HD]
    assert updated.updated_at > made.updated_at
    assert updated.created_at == made.created_at
    assert (await update_content(made.content_id, duration_seconds=None)).duration_seconds is None


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({}, InvalidDocument, "there are none"),
        ({"tittle": "x"}, UnknownField, "content has no field 'tittle'.*title"),
        ({"views": 7}, UnknownField, "views"),
        ({"content_id": 7}, UnknownField, "content_id"),
        ({"content_type": "quiz"}, UnknownField, "content_type"),
        ({"$where": "1"}, UnknownField, "where"),
        ({"title.x": "1"}, UnknownField, "title.x"),
        ({"title": 5}, InvalidDocument, "content, title: Input should be a valid string"),
        ({"title": "x" * 301}, InvalidDocument, "at most 300"),
        ({"title": "\ud800"}, InvalidDocument, "title"),
        ({"duration_seconds": -1}, InvalidDocument, "greater than or equal to 0"),
        ({"duration_seconds": 2**70}, InvalidDocument, "less than or equal"),
        ({"video_url": None}, InvalidDocument, "shows nothing without it"),
        ({"video_url": ""}, InvalidDocument, "shows nothing without it"),
        ({"quality_options": [{"label": "x"}]}, InvalidDocument, r"quality_options\.0\.height"),
        ({"quality_options": [HD.model_copy(update={"height": 0})]}, InvalidDocument, "height"),
        ({"quality_options": [HD] * 51}, InvalidDocument, "at most 50"),
        ({"title": "ok", "page_count": 5}, ContentOfOtherType, "type video.* no page_count"),
        ({"questions": [QUESTION]}, ContentOfOtherType, "type video.* no questions"),
        ({"questions": [QUESTION], "video_url": "u"}, ContentOfOtherType, "has no questions"),
        ({"questions": []}, InvalidDocument, "shows nothing without it"),
        ({"questions": [QUESTION | {"answer": 2}]}, InvalidDocument, "no index of 2 choices"),
    ],
    ids=str,
)
async def test_what_a_content_cannot_be(
    platform: Platform, changes: dict[str, Any], error: type[ElearningError], message: str
) -> None:
    made = await video(title="old")
    with pytest.raises(error, match=message):
        await update_content(made.content_id, **changes)
    assert await get_content(made.content_id) == made


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: create_content(uuid4(), new_id("asia"), "video"), InvalidId, "no elearning id"),
        (lambda: video(lesson_id="x"), InvalidId, "'x'"),
        (
            lambda: video(lesson_id=new_id("europe")),
            InvalidDocument,
            "content, lesson_id: .* another region than course_id",
        ),
        (lambda: video(content_id=new_id("europe")), InvalidDocument, "content, content_id"),
        (
            lambda: create_content(new_id("asia"), new_id("asia"), "hologram"),
            InvalidDocument,
            "'hologram' is none of video, document, quiz",
        ),
        (lambda: create_content(new_id("asia"), new_id("asia"), "video"), InvalidDocument, "needs"),
        (lambda: video(video_url=" " * 2001), InvalidDocument, "at most 2000"),
        (
            lambda: create_content(new_id("asia"), new_id("asia"), "quiz", video_url="x"),
            UnknownField,
            "content of type quiz has no field 'video_url'",
        ),
        (
            lambda: create_content(new_id("asia"), new_id("asia"), "video", views=5, video_url="x"),
            UnknownField,
            "views",
        ),
        (lambda: quiz(questions=[QUESTION] * 201), InvalidDocument, "at most 200"),
        (lambda: add_quiz(new_id("asia"), new_id("asia"), None), InvalidDocument, "valid list"),  # type: ignore[arg-type]
        (lambda: video(quality_options=5), InvalidDocument, "quality_options: .*valid list"),
        (lambda: quiz(questions=[]), InvalidDocument, "needs questions"),
    ],
)
async def test_what_is_not_created(
    platform: Platform,
    call: Callable[[], Coroutine[Any, Any, object]],
    error: type[ElearningError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        await call()
    assert await CourseContent.count() == 0


async def test_a_content_goes_to_another_lesson(platform: Platform) -> None:
    made = await video()
    lesson_id, course_id = new_id("asia"), new_id("asia")
    moved = await set_lesson(made.content_id, lesson_id)
    assert (moved.lesson_id, moved.course_id) == (lesson_id, made.course_id)
    moved = await set_lesson(made.content_id, lesson_id, course_id=course_id)
    assert moved.course_id == course_id
    assert moved == await get_content(made.content_id)
    with pytest.raises(InvalidDocument, match=r"lesson_id: .* another region"):
        await set_lesson(made.content_id, new_id("europe"))


async def test_what_is_deleted_is_gone(platform: Platform) -> None:
    made, other = await video(), await video()
    await delete_content(made.content_id)
    with pytest.raises(ContentNotFound):
        await get_content(made.content_id)
    assert await get_content(other.content_id) == other


OPERATIONS: dict[str, Callable[[Any], Coroutine[Any, Any, object]]] = {
    "get": get_content,
    "show": show_content,
    "delete": delete_content,
    "view": count_view,
    "download": count_download,
    "update": lambda content_id: update_content(content_id, title="x"),
    "move": lambda content_id: set_lesson(content_id, new_id("asia")),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_content_that_is_not_there(
    platform: Platform, operation: Callable[[Any], Coroutine[Any, Any, object]]
) -> None:
    content_id = new_id("asia")
    with pytest.raises(ContentNotFound, match=str(content_id)):
        await operation(content_id)
    for wrong in (uuid4(), "x", None, {"$ne": None}):
        with pytest.raises(InvalidId):
            await operation(wrong)
    assert await CourseContent.count() == 0


async def test_each_operation_is_one_command(platform: Platform) -> None:
    made = await video()
    async with listened(platform) as commands:
        await get_content(made.content_id)
        await show_content(made.content_id)
        await update_content(made.content_id, title="x")
        await set_lesson(made.content_id, new_id("asia"))
        await count_view(made.content_id)
        await count_download(made.content_id)
        await delete_content(made.content_id)
        await video()
    assert commands.names == [
        "find",
        "find",
        "findAndModify",
        "findAndModify",
        "update",
        "update",
        "delete",
        "insert",
    ]


async def test_counts_are_right_however_many_count_at_once(platform: Platform) -> None:
    made = await video()
    # As documents of an earlier release are: without the field.
    await platform.documents.database["course_content"].update_one(
        {"content_id": made.content_id}, {"$unset": {"downloads": ""}}
    )
    assert (await get_content(made.content_id)).downloads == 0
    await asyncio.gather(
        *(count_view(made.content_id) for _ in range(50)),
        *(count_download(made.content_id) for _ in range(30)),
        *(update_content(made.content_id, title=f"title {number}") for number in range(20)),
    )
    found = await get_content(made.content_id)
    assert (found.views, found.downloads) == (50, 30)


async def test_a_count_is_no_edit(platform: Platform) -> None:
    made = await video()
    await count_view(made.content_id)
    assert (await get_content(made.content_id)).updated_at == made.updated_at


async def test_one_of_many_creates_an_id(platform: Platform) -> None:
    content_id = new_id("asia")
    results = await asyncio.gather(
        *(video(content_id=content_id, title=str(number)) for number in range(50)),
        return_exceptions=True,
    )
    made = [each for each in results if isinstance(each, CourseContent)]
    assert len(made) == 1
    assert sum(isinstance(each, ContentExists) for each in results) == 49
    assert await get_content(content_id) == made[0]


@pytest.mark.parametrize("text", ["$set", "a.b", "\x00", "é\U0001f600", "{'$gt': ''}", "' OR 1"])
async def test_strange_texts_are_only_texts(platform: Platform, text: str) -> None:
    made = await video(title=text, video_url=text)
    assert (await get_content(made.content_id)).title == text
    assert (await update_content(made.content_id, title=text * 2)).title == text * 2


async def test_mongodb_is_down(platform: Platform, cluster: EmbeddedCluster) -> None:
    content_id = (await video()).content_id
    mongodb = cluster.node("mongodb")
    mongodb.kill()
    try:
        results = await asyncio.gather(
            get_content(content_id),
            count_view(content_id),
            delete_content(content_id),
            video(),
            list_course_contents(new_id("asia")),
            get_preferences(new_id("asia")),
            add_to_wishlist(new_id("asia"), new_id("asia")),
            return_exceptions=True,
        )
    finally:
        mongodb.start()
    assert {type(each) for each in results} == {NodeUnavailable}
    assert all("mongodb" in str(each) for each in results)


async def test_a_connection_that_was_closed(platform: Platform, settings: Settings) -> None:
    content_id = (await video()).content_id
    async with Platform(settings):
        await get_content(content_id)
    try:
        with pytest.raises(NodeUnavailable, match="after close"):
            await get_content(content_id)
    finally:
        await platform.documents.open()


def test_documents_that_were_never_opened() -> None:
    script = """
import asyncio
from elearning.documents import add_video, get_content
from elearning.errors import NodeUnavailable
from elearning.ids import new_id
for call in (lambda: get_content(new_id("asia")), lambda: add_video(*[new_id("asia")] * 2, "u")):
    try:
        asyncio.run(call())
    except NodeUnavailable as error:
        assert "open a Platform first" in str(error), error
    else:
        raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
