"""What is done with users' preferences; each operation is one command, atomic at the server.

None of them makes preferences where there are none, but `create_preferences`: those of a new user
come through the outbox, which leaves alone what is there already, and those of a deleted user must
not come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from beanie import UpdateResponse
from pymongo.errors import DuplicateKeyError

from elearning.documents.checks import checked, checked_changes, valid
from elearning.documents.user_preferences import (
    MOST_VIEWED,
    MOST_WISHES,
    LearningPreferences,
    NotificationPreferences,
    Preferences,
    RecentlyViewed,
    UserPreferences,
)
from elearning.errors import PreferencesExist, PreferencesNotFound, WishlistFull
from elearning.ids import parse_id

__all__ = [
    "add_recently_viewed",
    "add_to_wishlist",
    "change_learning",
    "change_notifications",
    "create_preferences",
    "delete_preferences",
    "get_preferences",
    "remove_from_wishlist",
    "replace_preferences",
    "set_preference",
]

_CHANGING = {"updated_at": True}


async def create_preferences(
    user_id: UUID, preferences: Preferences | Mapping[str, Any] | None = None
) -> Preferences:
    """Store the preferences of a user who has none, and return them.

    Args:
        user_id: the user.
        preferences: default: what is right for most.

    Raises:
        InvalidId, InvalidDocument: wrong input.
        PreferencesExist: there are some.
        NodeUnavailable: MongoDB does not answer.
    """
    user_id = parse_id(user_id)
    made = checked("preferences", Preferences, {} if preferences is None else preferences)
    with valid("preferences"):
        try:
            await UserPreferences(user_id=user_id, preferences=made).insert()
        except DuplicateKeyError:
            raise PreferencesExist(user_id=user_id) from None
    return made


async def get_preferences(user_id: UUID) -> Preferences:
    """Return the preferences of a user.

    Raises:
        InvalidId: not an id.
        PreferencesNotFound: there are none (yet).
        NodeUnavailable: MongoDB does not answer.
    """
    user_id = parse_id(user_id)
    with valid("preferences"):
        found = await UserPreferences.find_one({"user_id": user_id})
    if found is None:
        raise PreferencesNotFound(user_id=user_id)
    return found.preferences


async def replace_preferences(
    user_id: UUID, preferences: Preferences | Mapping[str, Any]
) -> Preferences:
    """Put others in the place of all preferences, the wishlist among them, and return them.

    Raises:
        InvalidId, InvalidDocument: wrong input.
        PreferencesNotFound: there are none (yet).
        NodeUnavailable: MongoDB does not answer.
    """
    made = checked("preferences", Preferences, preferences)
    return await _set(user_id, {"preferences": made.model_dump()})


async def set_preference(user_id: UUID, field: str, value: Any) -> Preferences:
    """Change one preference, and return all.

    Args:
        user_id: whose.
        field: its path, such as ``learning.learning_pace`` or ``notifications``.
        value: as the model `Preferences` has it there.

    Raises:
        InvalidId, InvalidDocument, UnknownField: wrong input.
        PreferencesNotFound: there are none (yet).
        NodeUnavailable: MongoDB does not answer.
    """
    # Whatever was given: a dictionary is no key of one.
    named = {str(field): value}
    changes = checked_changes("preferences", Preferences, named, under="preferences.")
    return await _set(user_id, changes)


async def change_learning(user_id: UUID, /, **changes: Any) -> Preferences:
    """Change some of `LearningPreferences`, and return all preferences.

    Raises:
        InvalidId, InvalidDocument, UnknownField: wrong input.
        PreferencesNotFound: there are none (yet).
        NodeUnavailable: MongoDB does not answer.
    """
    under = "preferences.learning."
    return await _set(
        user_id, checked_changes("learning", LearningPreferences, changes, under=under)
    )


async def change_notifications(user_id: UUID, /, **changes: Any) -> Preferences:
    """Change some of `NotificationPreferences`, and return all preferences.

    Raises:
        InvalidId, InvalidDocument, UnknownField: wrong input.
        PreferencesNotFound: there are none (yet).
        NodeUnavailable: MongoDB does not answer.
    """
    under = "preferences.notifications."
    return await _set(
        user_id, checked_changes("notifications", NotificationPreferences, changes, under=under)
    )


async def delete_preferences(user_id: UUID) -> None:
    """Delete the preferences of a user.

    Raises:
        InvalidId: not an id.
        PreferencesNotFound: there are none.
        NodeUnavailable: MongoDB does not answer.
    """
    user_id = parse_id(user_id)
    with valid("preferences"):
        result = await UserPreferences.find_one({"user_id": user_id}).delete()
    if result is None or not result.deleted_count:
        raise PreferencesNotFound(user_id=user_id)


async def add_recently_viewed(user_id: UUID, course_id: UUID) -> list[RecentlyViewed]:
    """Note that a user has looked at a course, and return the latest, newest first.

    Each course is in it once, and no more than `MOST_VIEWED`.

    Raises:
        InvalidId: not an id.
        PreferencesNotFound: there are none (yet).
        NodeUnavailable: MongoDB does not answer.
    """
    course_id = parse_id(course_id)
    viewed = {"$ifNull": ["$preferences.recently_viewed", []]}
    others = _filtered(viewed, {"$ne": ["$$each.course_id", course_id]})
    before = _filtered(viewed, {"$eq": ["$$each.course_id", course_id]})
    # Commands wait for each other, and may be done in another order than they came: each is put
    # where its time belongs.
    times = {"$map": {"input": before, "as": "each", "in": "$$each.viewed_at"}}
    merged = {
        "$concatArrays": [
            _filtered("$$others", {"$gt": ["$$each.viewed_at", "$$at"]}),
            [{"course_id": course_id, "viewed_at": "$$at"}],
            _filtered("$$others", {"$lte": ["$$each.viewed_at", "$$at"]}),
        ]
    }
    latest = {
        "$let": {
            "vars": {"others": others, "at": {"$max": {"$concatArrays": [["$$NOW"], times]}}},
            "in": {"$slice": [merged, MOST_VIEWED]},
        }
    }
    changed = {"preferences.recently_viewed": latest, "updated_at": "$$NOW"}
    return (await _update(user_id, [{"$set": changed}])).recently_viewed


def _filtered(array: Any, condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"$filter": {"input": array, "as": "each", "cond": condition}}


async def add_to_wishlist(user_id: UUID, course_id: UUID) -> list[UUID]:
    """Put a course at the end of a wishlist, unless it is in it, and return the list.

    Raises:
        InvalidId: not an id.
        PreferencesNotFound: there are none (yet).
        WishlistFull: it has `MOST_WISHES` courses; nothing was changed.
        NodeUnavailable: MongoDB does not answer.
    """
    course_id = parse_id(course_id)
    wishes = {"$ifNull": ["$preferences.wishlist", []]}
    fits = {
        "$and": [
            {"$not": [{"$in": [course_id, wishes]}]},
            {"$lt": [{"$size": wishes}, MOST_WISHES]},
        ]
    }
    changed = {
        "preferences.wishlist": {"$cond": [fits, {"$concatArrays": [wishes, [course_id]]}, wishes]},
        "updated_at": {"$cond": [fits, "$$NOW", "$updated_at"]},
    }
    wishlist = (await _update(user_id, [{"$set": changed}])).wishlist
    if course_id not in wishlist:
        raise WishlistFull(user_id=user_id, most=MOST_WISHES)
    return wishlist


async def remove_from_wishlist(user_id: UUID, course_id: UUID) -> list[UUID]:
    """Take a course from a wishlist, if it is in it, and return the list.

    Raises:
        InvalidId: not an id.
        PreferencesNotFound: there are none (yet).
        NodeUnavailable: MongoDB does not answer.
    """
    pulled = {"$pull": {"preferences.wishlist": parse_id(course_id)}, "$currentDate": _CHANGING}
    return (await _update(user_id, pulled)).wishlist


async def _set(user_id: UUID, changes: Mapping[str, Any]) -> Preferences:
    return await _update(user_id, {"$set": changes, "$currentDate": _CHANGING})


async def _update(user_id: UUID, update: Any) -> Preferences:
    user_id = parse_id(user_id)
    with valid("preferences"):
        updated = await UserPreferences.find_one({"user_id": user_id}).update(
            update, response_type=UpdateResponse.NEW_DOCUMENT
        )
    if not isinstance(updated, UserPreferences):
        raise PreferencesNotFound(user_id=user_id)
    return updated.preferences
