"""The order of modules and lessons: places 1, 2, 3 … that are counted under a lock.

Whoever changes the order of anything in a course locks the course's row first, as enroll_user
does. What moves is moved out of the way by one statement and to its place by a second one: no two
rows ever share a place, also not on another shard, where each row is changed by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Select, Uuid, cast, column, func, literal, select, update
from sqlalchemy.orm import Session

from elearning.errors import (
    CourseLessonNotFound,
    CourseNotFound,
    InvalidPosition,
    ModuleNotFound,
    WrongOrder,
)
from elearning.models import Course, CourseLesson, CourseModule
from elearning.models.counters import expire_counted

__all__ = [
    "Place",
    "arrange",
    "insert_at",
    "lock_course",
    "lock_course_of_lesson",
    "lock_course_of_module",
    "same_set",
]

_OUT_OF_THE_WAY = 1_000_000

_LOCK = select(Course.id, func.require_read_committed()).with_for_update(key_share=True, of=Course)


class Place(NamedTuple):
    """Where a row stands."""

    id: UUID
    owner_id: UUID
    position: int


def lock_course(session: Session, course_id: UUID) -> None:
    """Lock a course at its home, so that nobody else changes the order of what is in it.

    Raises:
        CourseNotFound: there is none.
        IsolationTooHigh: the transaction would not see what others have done meanwhile.
    """
    if _locked(session, _LOCK.where(Course.id == course_id)) is None:
        raise CourseNotFound(course_id=course_id)


def lock_course_of_module(session: Session, module_id: UUID) -> UUID:
    """Lock the course of a module, and return its id; see `lock_course`.

    Raises:
        ModuleNotFound: there is no such module.
        IsolationTooHigh: see `lock_course`.
    """
    statement = _LOCK.join(CourseModule, CourseModule.course_id == Course.id)
    course_id = _locked(session, statement.where(CourseModule.id == module_id))
    if course_id is None:
        raise ModuleNotFound(module_id=module_id)
    return course_id


def lock_course_of_lesson(session: Session, lesson_id: UUID) -> UUID:
    """Lock the course of a lesson, and return its id; see `lock_course`.

    Raises:
        CourseLessonNotFound: there is no such lesson.
        IsolationTooHigh: see `lock_course`.
    """
    statement = _LOCK.join(CourseModule, CourseModule.course_id == Course.id).join(
        CourseLesson, CourseLesson.module_id == CourseModule.id
    )
    course_id = _locked(session, statement.where(CourseLesson.id == lesson_id))
    if course_id is None:
        raise CourseLessonNotFound(lesson_id=lesson_id)
    return course_id


def _locked(session: Session, statement: Select[Any]) -> UUID | None:
    row = session.execute(statement).one_or_none()
    return None if row is None else row[0]


def insert_at(order: Sequence[UUID], new: UUID, position: int | None) -> list[UUID]:
    """Return an order with one more in it.

    Args:
        order: what is there.
        new: what comes.
        position: its place, from 1; None: the last one.

    Raises:
        InvalidPosition: there is no such place.
    """
    most = len(order) + 1
    place = most if position is None else position
    if type(place) is not int or not 1 <= place <= most:
        # A number of any length would be written out.
        told = type(place) is int and abs(place) < _OUT_OF_THE_WAY
        raise InvalidPosition(position=place if told else type(place).__name__, most=most)
    return [*order[: place - 1], new, *order[place - 1 :]]


def same_set(
    owner_id: UUID, things: str, order: Sequence[UUID], present: Sequence[UUID]
) -> list[UUID]:
    """Return a new order, which has to name all that there is, each once.

    Raises:
        WrongOrder: it does not; the message says what is wrong.
    """
    order = list(order)
    there = set(present)
    # None can be one of them.
    strange = [one for one in order if one not in there]
    if strange:
        problem = f"names {strange[0]!s:.80}, which is none of them"
    elif len(set(order)) < len(order):
        problem = "names one twice"
    elif len(order) < len(there):
        problem = f"names {len(order)} of {len(there)}"
    else:
        return order
    raise WrongOrder(owner_id=owner_id, problem=problem, things=things)


def arrange(
    session: Session,
    model: type[CourseModule | CourseLesson],
    held: Sequence[Place],
    wanted: Mapping[UUID, Sequence[UUID]],
) -> None:
    """Put rows in order, in two statements at most; those that stand right are not touched.

    Args:
        session: holds the lock of their course.
        model: of what.
        held: all rows of the owners, as they stand.
        wanted: for each owner, the ids of its rows in their order; one that is not held keeps
            its place free.
    """
    target = {
        one: (owner_id, position)
        for owner_id, order in wanted.items()
        for position, one in enumerate(order, start=1)
    }
    moved = [row for row in held if target[row.id] != (row.owner_id, row.position)]
    for owner_id in wanted:
        _forget_order(session, model, owner_id)
    if not moved:
        return
    used = {row.position for row in held}
    spare = (position for position in count(_OUT_OF_THE_WAY) if position not in used)
    _put(session, model, [row._replace(position=next(spare)) for row in moved])
    # A lesson's module is written only where it changes: a trigger looks at it.
    leaves = any(target[row.id][0] != row.owner_id for row in moved)
    _put(session, model, [Place(row.id, *target[row.id]) for row in moved], owners=leaves)
    for row in moved:
        expire_counted(session, model, row.id)


def _forget_order(
    session: Session, model: type[CourseModule | CourseLesson], owner_id: UUID
) -> None:
    """Let go of the list that an owner was loaded with: its order is another one."""
    owner, name = (Course, "modules") if model is CourseModule else (CourseModule, "lessons")
    held = session.identity_map.get(session.identity_key(owner, owner_id))
    if held is not None:
        session.expire(held, [name])


def _put(
    session: Session,
    model: type[CourseModule | CourseLesson],
    places: Sequence[Place],
    *,
    owners: bool = False,
) -> None:
    rows = (
        func.unnest(
            cast(literal([one.id for one in places], ARRAY(Uuid)), ARRAY(Uuid)),
            cast(literal([one.owner_id for one in places], ARRAY(Uuid)), ARRAY(Uuid)),
            cast(literal([one.position for one in places], ARRAY(Integer)), ARRAY(Integer)),
        )
        .table_valued(column("id", Uuid), column("owner_id", Uuid), column("position", Integer))
        .render_derived()
    )
    values: dict[str, Any] = {"position": rows.c.position}
    if owners:
        values["module_id"] = rows.c.owner_id
    session.execute(
        update(model)
        .where(model.id == rows.c.id)
        .values(values)
        .execution_options(synchronize_session=False)
    )
