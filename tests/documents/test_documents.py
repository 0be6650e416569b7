from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from pymongo.errors import DuplicateKeyError

from elearning.config import MongoSettings, Settings
from elearning.documents import (
    ContentType,
    CourseContent,
    Documents,
    Preferences,
    QualityOption,
    QuizQuestion,
    RecentlyViewed,
    UserPreferences,
    insert_once,
)
from elearning.errors import NodeUnavailable, SettingsError
from elearning.flows import Platform
from elearning.ids import created_at_of, new_id


def content(**changes: Any) -> CourseContent:
    values: dict[str, Any] = {
        "content_id": new_id("asia"),
        "course_id": new_id("asia"),
        "lesson_id": new_id("asia"),
        "content_type": ContentType.VIDEO,
        "video_url": "https://media.example.org/1",
        "duration_seconds": 900,
        "quality_options": [
            QualityOption(label="720p", height=720, url="https://media.example.org/720")
        ],
    }
    return CourseContent(**values | changes)


async def test_content_is_stored_as_the_seed_draws_it(platform: Platform) -> None:
    made = content()
    await made.insert()
    raw = await platform.documents.database["course_content"].find_one()
    assert raw["content_id"] == made.content_id
    assert isinstance(raw["course_id"], UUID)
    assert raw["content_type"] == "video"
    assert raw["views"] == 0
    assert raw["quality_options"][0]["height"] == 720
    assert raw["created_at"].tzinfo is not None
    found = await CourseContent.find_one({"content_id": made.content_id})
    assert found is not None
    assert found.quality_options == made.quality_options


async def test_preferences_are_stored_as_the_seed_draws_them(platform: Platform) -> None:
    user_id, course_id = new_id("asia"), new_id("asia")
    preferences = Preferences(
        wishlist=[course_id],
        recently_viewed=[RecentlyViewed(course_id=course_id, viewed_at=created_at_of(course_id))],
    )
    await UserPreferences(user_id=user_id, preferences=preferences).insert()
    raw = await platform.documents.database["user_preferences"].find_one()
    assert raw["user_id"] == user_id
    assert raw["preferences"]["learning"] == {
        "preferred_categories": [],
        "difficulty_level": "beginner",
        "learning_pace": "moderate",
    }
    assert raw["preferences"]["notifications"] == {"email": True, "push": False}
    assert raw["preferences"]["wishlist"] == [course_id]
    found = await UserPreferences.find_one({"user_id": user_id})
    assert found is not None
    assert found.preferences == preferences


async def test_indexes_of_the_seed(platform: Platform) -> None:
    database = platform.documents.database
    found = {
        name: {
            key: bool(index.get("unique"))
            for key, index in (await database[name].index_information()).items()
        }
        for name in ("course_content", "user_preferences")
    }
    assert found == {
        "course_content": {
            "_id_": False,
            "content_id": True,
            "course_id": False,
            "course_id_page": False,
            "lesson_id": False,
            "lesson_id_page": False,
        },
        "user_preferences": {"_id_": False, "user_id": True},
    }


async def test_one_document_a_user(platform: Platform) -> None:
    user_id = new_id("asia")
    await UserPreferences(user_id=user_id).insert()
    with pytest.raises(DuplicateKeyError):
        await UserPreferences(user_id=user_id).insert()
    await insert_once(UserPreferences(user_id=user_id), user_id=user_id)
    assert await UserPreferences.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"video_url": None},
        {"content_type": "document"},
        {"content_type": "quiz"},
        {"content_type": "hologram"},
        {"duration_seconds": -1},
        {"views": -1},
        {"quality_options": [{"label": "x", "height": 0, "url": "x"}]},
        {"quality_options": [{"label": "x", "height": 1, "url": "x", "colour": "red"}]},
    ],
    ids=str,
)
async def test_content_that_shows_nothing_is_refused(
    platform: Platform, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        content(**changes)


def test_a_quiz_answer_is_one_of_its_choices() -> None:
    assert QuizQuestion(prompt="?", choices=["a", "b"], answer=1).answer == 1
    with pytest.raises(ValidationError, match="no index of 2 choices"):
        QuizQuestion(prompt="?", choices=["a", "b"], answer=2)


async def test_a_server_that_is_not_there(settings: Settings) -> None:
    documents = Documents(
        MongoSettings("mongodb://user:s3cret@127.0.0.1:1/x?directConnection=true", "x"),
        timeout=0.2,
    )
    try:
        with pytest.raises(NodeUnavailable, match="mongodb") as caught:
            await documents.open()
        assert "s3cret" not in str(caught.value)
    finally:
        await documents.close()


async def test_a_wrong_password(settings: Settings) -> None:
    head, tail = settings.mongodb.url.split("@")
    documents = Documents(replace(settings.mongodb, url=f"{head.rsplit(':', 1)[0]}:wrong@{tail}"))
    try:
        with pytest.raises(NodeUnavailable, match="refuses user or password"):
            await documents.open()
    finally:
        await documents.close()


@pytest.mark.parametrize("url", ["mongodb://h:99999/x", "mongodb://a@b@c/x"])
def test_a_url_that_the_driver_refuses(url: str) -> None:
    with pytest.raises(SettingsError, match="ELEARNING_MONGODB_URL"):
        Documents(MongoSettings(url, "x"))


async def test_a_platform_without_mongodb_closes_what_it_opened(settings: Settings) -> None:
    broken = replace(
        settings, mongodb=MongoSettings("mongodb://127.0.0.1:1/x?directConnection=true", "x")
    )
    with pytest.raises(NodeUnavailable):
        async with Platform(broken):
            pass
