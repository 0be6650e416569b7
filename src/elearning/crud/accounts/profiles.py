"""What an account tells about its owner, changed."""

from __future__ import annotations

from typing import Unpack
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from elearning.crud.accounts.user_changes import changed_user
from elearning.crud.accounts.user_fields import ProfileFields, checked_fields, checked_profile
from elearning.errors import InvalidText, UserNotFound
from elearning.ids import new_id, region_of
from elearning.models import Course, User, UserProfile
from elearning.models.counters import expire_counted

__all__ = ["update_profile", "update_user"]

_NOTHING = InvalidText(field="fields", problem="none is given: name what shall change")


def update_user(
    session: Session,
    user_id: UUID,
    *,
    first_name: str | None = None,
    last_name: str | None = None,
) -> User:
    """Change somebody's names, and return the account; the courses that they teach follow.

    An address is changed by `elearning.flows.change_email`.

    Args:
        session: a session.
        user_id: whose.
        first_name: None: stays as it is.
        last_name: None: stays as it is.

    Raises:
        InvalidText: a name is wrong, or there is none.
        UserNotFound: there is no such account.
    """
    names = {"first_name": first_name, "last_name": last_name}
    given = {name: value for name, value in names.items() if value is not None}
    if not given:
        raise _NOTHING
    user = changed_user(session, user_id, **checked_fields(given))
    # The trigger keep_instructor_name has changed these.
    expire_counted(session, Course, None)
    return user


def update_profile(session: Session, user_id: UUID, **fields: Unpack[ProfileFields]) -> UserProfile:
    """Change fields of a profile, and return it; those that are not named stay as they are.

    ::

        update_profile(session, user_id, city="Bergen", bio=None)

    An account without a profile, as an import may bring, gets one.

    Args:
        session: a session.
        user_id: whose.
        **fields: as `NewUser` has them; None empties one.

    Raises:
        InvalidText: what was wrong, or there is no such field.
        UserNotFound: there is no such account.
    """
    values = checked_profile(fields)
    if not values:
        raise _NOTHING
    fresh = {"populate_existing": True, "synchronize_session": False}
    change = update(UserProfile).where(UserProfile.user_id == user_id).values(**values)
    profile = session.scalars(change.returning(UserProfile), execution_options=fresh).one_or_none()
    if profile is not None:
        return profile
    owner = select(User.id).where(User.id == user_id).with_for_update(read=True, key_share=True)
    if session.scalar(owner) is None:
        raise UserNotFound(user_id=user_id)
    # Somebody else may be doing the same.
    add = insert(UserProfile).values(id=new_id(region_of(user_id)), user_id=user_id, **values)
    return session.scalars(
        add.on_conflict_do_update(index_elements=["user_id"], set_=values).returning(UserProfile),
        execution_options={"populate_existing": True},
    ).one()
