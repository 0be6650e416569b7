from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from elearning.crud import NewUser
from elearning.documents import (
    MOST_VIEWED,
    MOST_WISHES,
    DifficultyLevel,
    LearningPace,
    LearningPreferences,
    NotificationPreferences,
    Preferences,
    RecentlyViewed,
    UserPreferences,
    add_recently_viewed,
    add_to_wishlist,
    change_learning,
    change_notifications,
    create_preferences,
    delete_preferences,
    get_preferences,
    remove_from_wishlist,
    replace_preferences,
    set_preference,
)
from elearning.errors import (
    ElearningError,
    InvalidDocument,
    InvalidId,
    PreferencesExist,
    PreferencesNotFound,
    UnknownField,
    WishlistFull,
)
from elearning.flows import Platform, delete_user, deliver_all, register
from elearning.ids import new_id
from elearning.plain import to_dict
from tests.documents.making import listened


async def made(**preferences: Any) -> UUID:
    user_id = new_id("asia")
    await create_preferences(user_id, preferences)
    return user_id


async def stored(user_id: UUID) -> UserPreferences:
    found = await UserPreferences.find_one({"user_id": user_id})
    assert found is not None
    return found


async def raw_views(platform: Platform, user_id: UUID) -> list[dict[str, Any]]:
    raw = await platform.documents.database["user_preferences"].find_one({"user_id": user_id})
    views: list[dict[str, Any]] = raw["preferences"]["recently_viewed"]
    return views


async def test_preferences_from_first_to_last(platform: Platform) -> None:
    user_id = new_id("asia")
    assert await create_preferences(user_id) == Preferences()
    assert await get_preferences(user_id) == Preferences()
    with pytest.raises(PreferencesExist, match=str(user_id)):
        await create_preferences(user_id)
    other = Preferences(notifications=NotificationPreferences(push=True))
    assert await replace_preferences(user_id, other) == other
    assert await get_preferences(user_id) == other
    await delete_preferences(user_id)
    assert await UserPreferences.count() == 0


async def test_those_of_a_new_user_come_through_the_outbox(platform: Platform) -> None:
    chosen = Preferences(learning=LearningPreferences(learning_pace=LearningPace.FAST))
    user_id = await register(
        platform,
        NewUser(
            region="asia", email="a@b.example", first_name="A", last_name="B", preferences=chosen
        ),
    )
    await deliver_all(platform)
    assert await get_preferences(user_id) == chosen
    changed = await set_preference(user_id, "notifications.push", value=True)
    # What is delivered again leaves it alone, and whose account ends has none.
    await deliver_all(platform)
    assert await get_preferences(user_id) == changed
    await delete_user(platform, user_id)
    await deliver_all(platform)
    with pytest.raises(PreferencesNotFound):
        await set_preference(user_id, "notifications.push", value=False)
    assert await UserPreferences.count() == 0


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("learning.learning_pace", "fast", LearningPace.FAST),
        ("learning.difficulty_level", DifficultyLevel.ADVANCED, DifficultyLevel.ADVANCED),
        ("learning.preferred_categories", ["$a", "b.c"], ["$a", "b.c"]),
        ("learning", {"learning_pace": "slow"}, LearningPreferences(learning_pace="slow")),  # type: ignore[arg-type]
        ("learning", LearningPreferences(), LearningPreferences()),
        ("notifications.email", False, False),
        ("notifications", {"push": True}, NotificationPreferences(push=True)),
        ("wishlist", [], []),
    ],
)
async def test_one_field(platform: Platform, field: str, value: Any, expected: Any) -> None:
    user_id = await made(wishlist=[new_id("asia")], notifications={"push": True})
    before = await stored(user_id)
    changed = await set_preference(user_id, field, value)
    assert changed == await get_preferences(user_id)
    found: Any = changed
    for name in field.split("."):
        found = getattr(found, name)
    assert found == expected
    # Nothing else is another than before.
    rest, was = changed.model_dump(), before.preferences.model_dump()
    group, *inner = field.split(".")
    for each in (rest, was):
        each[group].pop(inner[0]) if inner else each.pop(group)
    assert rest == was
    assert (await stored(user_id)).updated_at > before.updated_at


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("learning.pace", "fast", UnknownField, "preferences has no field 'learning.pace'.*wish"),
        ("", 1, UnknownField, "has no field ''"),
        ("$set", 1, UnknownField, "set"),
        ("learning.learning_pace.x", 1, UnknownField, "learning_pace.x"),
        ("wishlist.0", 1, UnknownField, r"wishlist\.0"),
        ("user_id", 1, UnknownField, "user_id"),
        (5, 1, UnknownField, "'5'"),
        ({"$ne": 1}, 1, UnknownField, "ne"),
        ("learning.learning_pace", "warp", InvalidDocument, "learning.learning_pace: .*'slow'"),
        ("learning.learning_pace", None, InvalidDocument, "learning_pace"),
        ("learning.preferred_categories", "x", InvalidDocument, "valid list"),
        ("learning.preferred_categories", ["x"] * 101, InvalidDocument, "at most 100"),
        ("learning.preferred_categories", ["x" * 99_999], InvalidDocument, "at most 100000"),
        ("learning", {"pace": 1}, InvalidDocument, r"learning\.pace: Extra"),
        ("notifications.email", {"$gt": 0}, InvalidDocument, "valid boolean"),
        ("wishlist", [uuid4()], InvalidDocument, r"wishlist\.0: .*no elearning id"),
        ("wishlist", ["x"], InvalidDocument, r"wishlist\.0"),
        ("wishlist", [new_id("asia")] * 2, InvalidDocument, "twice"),
        ("wishlist", [new_id("asia") for _ in range(501)], InvalidDocument, "at most 500"),
        (
            "recently_viewed",
            [{"course_id": new_id("asia"), "viewed_at": "2026-01-01T00:00:00"}],
            InvalidDocument,
            "timezone",
        ),
        (
            "recently_viewed",
            [{"course_id": new_id("asia"), "viewed_at": "0001-01-01T00:00:00+14:00"}],
            InvalidDocument,
            "in no year from 1 to 9999",
        ),
    ],
)
async def test_what_is_no_preference(
    platform: Platform, field: Any, value: Any, error: type[ElearningError], message: str
) -> None:
    user_id = await made()
    before = await stored(user_id)
    with pytest.raises(error, match=message):
        await set_preference(user_id, field, value)
    assert await stored(user_id) == before


async def test_a_model_that_was_changed_is_checked_again(platform: Platform) -> None:
    user_id = await made()
    wrong = Preferences()
    wrong.wishlist.append("course-17")  # type: ignore[arg-type]
    for call in (replace_preferences, create_preferences):
        with pytest.raises(InvalidDocument, match=r"preferences, wishlist\.0"):
            await call(user_id, wrong)
    with pytest.raises(InvalidDocument, match="preferences, as a whole"):
        await replace_preferences(user_id, 5)  # type: ignore[arg-type]
    with pytest.raises(InvalidDocument, match=r"as a whole: .* at most 100000"):
        await replace_preferences(user_id, {"learning": {"preferred_categories": ["x" * 100_000]}})
    with pytest.raises(InvalidDocument, match="colour: Extra"):
        await replace_preferences(user_id, {"colour": "red"})
    assert await get_preferences(user_id) == Preferences()


async def test_some_of_a_group(platform: Platform) -> None:
    user_id = await made()
    async with listened(platform) as commands:
        changed = await change_learning(
            user_id, learning_pace="slow", preferred_categories=["Physics"]
        )
        changed = await change_notifications(user_id, push=True)
        assert commands.names == ["findAndModify"] * 2
    assert to_dict(changed, "learning", "notifications") == {
        "learning": {
            "preferred_categories": ["Physics"],
            "difficulty_level": "beginner",
            "learning_pace": "slow",
        },
        "notifications": {"email": True, "push": True},
    }
    with pytest.raises(UnknownField, match="learning has no field 'pace'"):
        await change_learning(user_id, pace="slow")
    with pytest.raises(InvalidDocument, match="notifications, push"):
        await change_notifications(user_id, email=False, push="perhaps")
    with pytest.raises(InvalidDocument, match="there are none"):
        await change_notifications(user_id)
    assert await get_preferences(user_id) == changed


async def test_fields_that_many_change_at_once(platform: Platform) -> None:
    user_id = await made()
    await asyncio.gather(
        *(change_learning(user_id, learning_pace="fast") for _ in range(10)),
        *(change_learning(user_id, difficulty_level="advanced") for _ in range(10)),
        *(change_notifications(user_id, push=True) for _ in range(10)),
        *(set_preference(user_id, "notifications.email", value=False) for _ in range(10)),
        *(add_to_wishlist(user_id, new_id("asia")) for _ in range(10)),
    )
    found = await get_preferences(user_id)
    assert found.learning.learning_pace is LearningPace.FAST
    assert found.learning.difficulty_level is DifficultyLevel.ADVANCED
    assert found.notifications == NotificationPreferences(email=False, push=True)
    assert len(found.wishlist) == 10


async def test_the_latest_courses_come_first_and_once(
    platform: Platform,
) -> None:
    user_id = await made()
    courses = [new_id("asia") for _ in range(MOST_VIEWED + 5)]
    async with listened(platform) as commands:
        for course_id in courses:
            await add_recently_viewed(user_id, course_id)
        viewed = await add_recently_viewed(user_id, courses[20])
        assert commands.names == ["findAndModify"] * (MOST_VIEWED + 6)
    expected = [courses[20], *(each for each in reversed(courses) if each != courses[20])]
    assert [each.course_id for each in viewed] == expected[:MOST_VIEWED]
    assert viewed == (await get_preferences(user_id)).recently_viewed
    assert abs(viewed[0].viewed_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_view_is_put_where_its_time_belongs(platform: Platform) -> None:
    # As after a clock was put back: what is there was seen in the future.
    old, known, new = (new_id("asia") for _ in range(3))
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    user_id = await made(
        recently_viewed=[
            {"course_id": known, "viewed_at": soon},
            {"course_id": old, "viewed_at": soon - timedelta(minutes=1)},
        ]
    )
    await add_recently_viewed(user_id, new)
    # As it is stored, for the model would put it in order.
    raw = await raw_views(platform, user_id)
    assert [each["course_id"] for each in raw] == [known, old, new]
    viewed = await add_recently_viewed(user_id, known)
    assert viewed[0] == RecentlyViewed(course_id=known, viewed_at=soon)
    assert await raw_views(platform, user_id) == raw


async def test_views_at_once(platform: Platform) -> None:
    user_id = await made()
    courses = [new_id("asia") for _ in range(20)]
    asked = courses * 3
    random.Random(1).shuffle(asked)
    await asyncio.gather(*(add_recently_viewed(user_id, course_id) for course_id in asked))
    viewed = (await get_preferences(user_id)).recently_viewed
    assert {each.course_id for each in viewed} == {*courses}
    assert len(viewed) == len(courses)
    times = [each["viewed_at"] for each in await raw_views(platform, user_id)]
    assert times == sorted(times, reverse=True)


async def test_a_wishlist_keeps_its_order(platform: Platform) -> None:
    user_id = await made()
    first, second, third = (new_id("asia") for _ in range(3))
    async with listened(platform) as commands:
        for course_id in (third, first, second):
            await add_to_wishlist(user_id, course_id)
        assert await add_to_wishlist(user_id, third) == [third, first, second]
        assert await remove_from_wishlist(user_id, first) == [third, second]
        assert await remove_from_wishlist(user_id, first) == [third, second]
        assert await add_to_wishlist(user_id, first) == [third, second, first]
        assert commands.names == ["findAndModify"] * 7
    assert (await get_preferences(user_id)).wishlist == [third, second, first]


async def test_what_is_wished_for_already_changes_nothing(platform: Platform) -> None:
    user_id, course_id = await made(), new_id("asia")
    await add_to_wishlist(user_id, course_id)
    before = await stored(user_id)
    await add_to_wishlist(user_id, course_id)
    assert await stored(user_id) == before


async def test_wishes_at_once(platform: Platform) -> None:
    user_id = await made()
    kept = [new_id("asia") for _ in range(20)]
    dropped = [new_id("asia") for _ in range(10)]
    for course_id in dropped:
        await add_to_wishlist(user_id, course_id)
    await asyncio.gather(
        *(add_to_wishlist(user_id, course_id) for course_id in kept * 2),
        *(remove_from_wishlist(user_id, course_id) for course_id in dropped),
    )
    wishlist = (await get_preferences(user_id)).wishlist
    assert sorted(wishlist) == sorted(kept)


async def test_a_full_wishlist(platform: Platform) -> None:
    courses = [new_id("asia") for _ in range(MOST_WISHES - 10)]
    user_id = await made(wishlist=courses)
    results = await asyncio.gather(
        *(add_to_wishlist(user_id, new_id("asia")) for _ in range(50)), return_exceptions=True
    )
    refused = [each for each in results if isinstance(each, WishlistFull)]
    assert len(refused) == 40
    assert "holds 500 courses" in str(refused[0])
    wishlist = (await get_preferences(user_id)).wishlist
    assert len(wishlist) == MOST_WISHES
    assert wishlist[: len(courses)] == courses
    # What is in a full list is in it.
    assert len(await add_to_wishlist(user_id, courses[0])) == MOST_WISHES
    await remove_from_wishlist(user_id, courses[0])
    assert len(await add_to_wishlist(user_id, courses[0])) == MOST_WISHES


async def test_documents_of_an_earlier_release(platform: Platform) -> None:
    user_id, course_id = new_id("asia"), new_id("asia")
    now = datetime.now(UTC)
    await platform.documents.database["user_preferences"].insert_one(
        {"user_id": user_id, "preferences": {}, "created_at": now, "updated_at": now}
    )
    assert await remove_from_wishlist(user_id, course_id) == []
    assert await add_to_wishlist(user_id, course_id) == [course_id]
    assert [each.course_id for each in await add_recently_viewed(user_id, course_id)] == [course_id]
    assert (await change_learning(user_id, learning_pace="slow")).notifications.email is True


OPERATIONS: dict[str, Callable[[Any], Coroutine[Any, Any, object]]] = {
    "get": get_preferences,
    "delete": delete_preferences,
    "replace": lambda user_id: replace_preferences(user_id, Preferences()),
    "set": lambda user_id: set_preference(user_id, "notifications.push", value=True),
    "learning": lambda user_id: change_learning(user_id, learning_pace="slow"),
    "notifications": lambda user_id: change_notifications(user_id, push=True),
    "viewed": lambda user_id: add_recently_viewed(user_id, new_id("asia")),
    "wish": lambda user_id: add_to_wishlist(user_id, new_id("asia")),
    "unwish": lambda user_id: remove_from_wishlist(user_id, new_id("asia")),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_user_without_preferences(
    platform: Platform, operation: Callable[[Any], Coroutine[Any, Any, object]]
) -> None:
    user_id = new_id("asia")
    with pytest.raises(PreferencesNotFound, match=f"{user_id}.*outbox"):
        await operation(user_id)
    for wrong in (uuid4(), "x", None, {"$ne": None}):
        with pytest.raises(InvalidId):
            await operation(wrong)
    assert await UserPreferences.count() == 0


async def test_a_course_that_is_no_id(platform: Platform) -> None:
    user_id = await made()
    for operation in (add_recently_viewed, add_to_wishlist, remove_from_wishlist):
        with pytest.raises(InvalidId):
            await operation(user_id, uuid4())
