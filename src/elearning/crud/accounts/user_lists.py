"""Lists of accounts, filtered and searched."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, and_, func, literal, select

from elearning.crud.listing import Listing
from elearning.crud.statements import constant
from elearning.errors import InvalidText
from elearning.models import User, UserStatus, UserType
from elearning.regions import Region
from elearning.text import checked_choice, checked_text

__all__ = ["UserOrder", "UserSearch", "list_users"]

_keys = {
    "last_name": func.lower(User.last_name).collate("C"),
    "first_name": func.lower(User.first_name).collate("C"),
    "email": User.email.collate("C"),
}
_LONGEST = 254
# Behind all texts that begin alike: no column searched here holds more of the last character.
_BEHIND = "\U0010ffff" * _LONGEST


class UserOrder(StrEnum):
    """What accounts are listed by."""

    NEWEST = "newest"
    NAME = "name"
    EMAIL = "email"


class UserSearch(StrEnum):
    """Where a text is searched."""

    NAME = "name"
    EMAIL = "email"


def list_users(
    *,
    region: Region | str | None = None,
    user_type: UserType | str | None = None,
    status: UserStatus | str | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
    search: str | None = None,
    search_in: UserSearch | str | None = None,
    order: UserOrder | str | None = None,
) -> Listing[User]:
    """Return accounts, of one shard or of all; see `Listing`.

    ::

        page = list_users(status="suspended", region="europe").page(session)
        page = list_users(search="Lovelace, A").everywhere(engines, size=20)

    Args:
        region: of the accounts; its shard alone is asked then, whatever the session's is.
        user_type: what they may do.
        status: whether they may be used.
        since: created at this moment or later.
        before: created before this moment.
        search: how the last name begins, or the last name, a comma, and how the first name
            begins; or how the address begins. Capitals or not; no sign stands for others.
        search_in: in names or in addresses; default: in addresses where the text has an @.
        order: default: that of what is searched, or else the newest first.

    Raises:
        UnknownRegion, InvalidText: what was wrong.
    """
    statement = select(User)
    home = None if region is None else Region.parse(region)
    if home is not None:
        statement = statement.where(User.region == constant(home, User.region))
    wanted = None if user_type is None else checked_choice("user_type", user_type, UserType)
    kept = None if status is None else checked_choice("status", status, UserStatus)
    if wanted is not None:
        statement = statement.where(User.user_type == constant(wanted, User.user_type))
    if kept is not None:
        statement = statement.where(User.status == constant(kept, User.status))
    if since is not None:
        statement = statement.where(User.created_at >= _moment("since", since))
    if before is not None:
        statement = statement.where(User.created_at < _moment("before", before))
    by = None if order is None else checked_choice("order", order, UserOrder)
    if search is not None:
        place, condition = _search(search, search_in)
        statement = statement.where(condition)
        by = by or UserOrder(place)
        if by.value != place.value:
            raise InvalidText(
                field="order",
                problem=f"what is searched by {place} is listed by {place}, not by {by}",
            )
    elif search_in is not None:
        raise InvalidText(field="search_in", problem="there is no text to search for")
    return Listing(_ordered(statement, by or UserOrder.NEWEST), region=home)


def _ordered(statement: Select[Any], order: UserOrder) -> Select[Any]:
    match order:
        case UserOrder.NAME:
            return statement.order_by(_keys["last_name"], _keys["first_name"])
        case UserOrder.EMAIL:
            return statement.order_by(_keys["email"])
        case _:
            return statement.order_by(User.created_at.desc())


def _search(
    search: str, search_in: UserSearch | str | None
) -> tuple[UserSearch, ColumnElement[bool]]:
    """Return where a text is searched, and the condition: a range of an index."""
    wanted = checked_text("search", search, most=_LONGEST)
    if search_in is not None:
        place = checked_choice("search_in", search_in, UserSearch)
    else:
        place = UserSearch.EMAIL if "@" in wanted else UserSearch.NAME
    if place is UserSearch.EMAIL:
        wanted = wanted.lower()
        return place, _keys["email"].between(wanted, wanted + _BEHIND)
    last, comma, first = (part.strip() for part in wanted.partition(","))
    if not comma:
        return place, _begins("last_name", last)
    exactly = _keys["last_name"] == func.lower(last)
    return place, and_(exactly, _begins("first_name", first)) if first else exactly


def _begins(name: str, wanted: str) -> ColumnElement[bool]:
    # In small letters as the database makes them, which is what the index holds.
    return _keys[name].between(func.lower(wanted), func.lower(wanted + _BEHIND))


def _moment(field: str, value: object) -> ColumnElement[datetime]:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidText(field=field, problem=f"{value!r} is no datetime with a time zone")
    # In the SQL itself: how many rows follow decides which index is good.
    return literal(value, DateTime(timezone=True), literal_execute=True)
