from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pytest
from pymongo import InsertOne

from elearning.documents import (
    ContentPage,
    Documents,
    ShownContent,
    list_course_contents,
    list_lesson_contents,
)
from elearning.errors import InvalidId, InvalidPage, InvalidText
from elearning.flows import Platform
from elearning.ids import new_id
from elearning.plain import to_dict
from tests.documents.making import listened, quiz, video

ASIA = "asia"


async def test_contents_of_a_course_page_by_page(platform: Platform) -> None:
    course_id = new_id(ASIA)
    lessons = sorted(new_id(ASIA) for _ in range(3))
    made = [
        (await video(course_id=course_id, lesson_id=lesson_id)).content_id
        for _ in range(3)
        for lesson_id in reversed(lessons)
    ]
    await video(lesson_id=lessons[0])
    expected = [made[number] for number in (2, 5, 8, 1, 4, 7, 0, 3, 6)]
    for size in (1, 2, 4, 9, 1000):
        found: list[UUID] = []
        after = None
        while True:
            page = await list_course_contents(course_id, size=size, after=after)
            assert len(page.items) <= size
            found += [each.content_id for each in page.items]
            if page.next is None:
                break
            after = page.next
        assert found == expected


async def test_contents_of_a_lesson_as_students_see_them(platform: Platform) -> None:
    course_id, lesson_id = new_id(ASIA), new_id(ASIA)
    first = await video(course_id=course_id, lesson_id=lesson_id)
    second = await quiz(course_id=course_id, lesson_id=lesson_id)
    await quiz(course_id=course_id)
    page = await list_lesson_contents(lesson_id, size=1)
    assert [each.content_id for each in page.items] == [first.content_id]
    page = await list_lesson_contents(lesson_id, after=page.next)
    assert [each.content_id for each in page.items] == [second.content_id]
    assert page.next is None
    assert isinstance(page.items[0], ShownContent)
    assert page.items[0].questions[0].choices == ["1", "2"]
    assert "answer" not in str(to_dict(page, json=True))


async def test_summaries_carry_no_questions(platform: Platform) -> None:
    made = await quiz(title="T")
    async with listened(platform) as commands:
        page = await list_course_contents(made.course_id)
        assert commands.names == ["find"]
        assert commands.sent[0]["limit"] == 51
        assert "questions" not in commands.sent[0]["projection"]
    assert to_dict(page, "items.title", "next") == {"items": [{"title": "T"}], "next": None}
    assert await list_course_contents(new_id(ASIA)) == ContentPage([], None)


async def test_what_is_added_meanwhile_shifts_no_page(platform: Platform) -> None:
    course_id, lesson_id = new_id(ASIA), new_id(ASIA)
    made = [await video(course_id=course_id, lesson_id=lesson_id) for _ in range(4)]
    first = await list_course_contents(course_id, size=2)
    # Ids begin with the time: this one was made before all others.
    early = UUID(int=made[0].content_id.int - (1000 << 80))
    await video(course_id=course_id, lesson_id=lesson_id, content_id=early)
    second = await list_course_contents(course_id, size=2, after=first.next)
    assert [each.content_id for each in second.items] == [each.content_id for each in made[2:]]


@pytest.mark.parametrize("size", [0, -1, 1001, True, "5", None, 2.0])
async def test_a_wrong_size(platform: Platform, size: Any) -> None:
    with pytest.raises(InvalidText, match=r"size: is .* expected 1 to 1000"):
        await list_course_contents(new_id(ASIA), size=size)
    with pytest.raises(InvalidText, match="expected 1 to 100"):
        await list_lesson_contents(new_id(ASIA), size=101)
    with pytest.raises(InvalidId):
        await list_lesson_contents("x")  # type: ignore[arg-type]


async def test_cursors_that_were_tampered_with(platform: Platform) -> None:
    course_id = new_id(ASIA)
    for _ in range(2):
        await video(course_id=course_id)
    cursor = (await list_course_contents(course_id, size=1)).next
    assert cursor is not None
    for wrong in ("", "x", "é", cursor[:-4], cursor + "AAAA", cursor * 9, "A" * len(cursor), 5):
        with pytest.raises(InvalidPage, match="begin with the first page again"):
            await list_course_contents(course_id, after=wrong)  # type: ignore[arg-type]
    data = bytearray(base64.urlsafe_b64decode(cursor))
    data[5] ^= 1
    changed = base64.urlsafe_b64encode(data).decode()
    for owner, given in ((course_id, changed), (new_id(ASIA), cursor)):
        with pytest.raises(InvalidPage, match="of another list"):
            await list_course_contents(owner, after=given)
    with pytest.raises(InvalidPage, match="of another list"):
        await list_lesson_contents(new_id(ASIA), after=cursor)


async def _examined(documents: Documents, command: dict[str, Any]) -> tuple[int, int, bool]:
    """Return how many keys and rows a list looked at, and whether it sorted."""
    kept = ("find", "filter", "projection", "sort", "limit")
    explained = await documents.database.command(
        "explain", {name: command[name] for name in kept}, verbosity="executionStats"
    )
    stats = explained["executionStats"]
    plan = str(explained["queryPlanner"]["winningPlan"])
    return stats["totalKeysExamined"], stats["totalDocsExamined"], "'SORT'" in plan


async def test_a_late_page_costs_what_the_first_costs(
    platform: Platform,
) -> None:
    course_id = new_id(ASIA)
    template = (await video()).model_dump(mode="python", exclude={"id", "revision_id"})
    lessons = [new_id(ASIA) for _ in range(40)]
    rows = [
        template | {"course_id": course_id, "lesson_id": lesson_id, "content_id": new_id(ASIA)}
        for lesson_id in lessons
        for _ in range(50)
    ]
    await platform.documents.database["course_content"].bulk_write(
        [InsertOne(row | {"content_type": "video"}) for row in rows]
    )
    async with listened(platform) as commands:
        page = await list_course_contents(course_id, size=20)
        for _ in range(98):
            page = await list_course_contents(course_id, size=20, after=page.next)
        last = await list_course_contents(course_id, size=20, after=page.next)
        assert len(last.items) == 20
        assert last.next is None
        first_of_lesson = await list_lesson_contents(lessons[3], size=20)
        await list_lesson_contents(lessons[3], size=20, after=first_of_lesson.next)
        commands.sent.pop()
        sent = [commands.sent[number] for number in (0, 50, 98, -1)]
    for command in sent:
        keys, rows_read, sorts = await _examined(platform.documents, command)
        assert not sorts
        assert rows_read <= 21
        assert keys <= 25
