"""The chapters of a course: added, changed, moved; their places are 1, 2, 3 … always."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from elearning.crud.catalog.places import (
    Place,
    arrange,
    insert_at,
    lock_course,
    lock_course_of_module,
    same_set,
)
from elearning.crud.checks import Check, checked, flush_edit, refuse_stale, text_of
from elearning.errors import CourseTooLong
from elearning.ids import new_id, region_of
from elearning.models import CourseModule

__all__ = ["ModuleChanges", "add_module", "move_module", "reorder_modules", "update_module"]

MOST_MODULES = 500
"""In a course, which is read at once."""

CHECKS: Mapping[str, Check] = {
    "title": text_of(300),
    "description": text_of(10_000, least=0),
}


class ModuleChanges(TypedDict, total=False):
    """What of a module can be changed."""

    title: str
    description: str


def add_module(
    session: Session,
    course_id: UUID,
    title: str,
    *,
    description: str = "",
    position: int | None = None,
) -> CourseModule:
    """Add a module to a course, at the course's home.

    Args:
        session: any session: the course's id tells its home.
        course_id: the course.
        title: of the module.
        description: of the module.
        position: its place, from 1; those after it move on. None: the last one.

    Raises:
        InvalidText: a text is empty or too long.
        InvalidPosition: there is no such place.
        CourseNotFound: there is no such course.
        CourseTooLong: it has too many modules already.
        IsolationTooHigh: the transaction is not "read committed".
    """
    values = checked("module", CHECKS, {"title": title, "description": description})
    lock_course(session, course_id)
    held = _places(session, course_id)
    if len(held) >= MOST_MODULES:
        raise CourseTooLong(course_id=course_id, most=MOST_MODULES, things="modules")
    module_id = new_id(region_of(course_id))
    order = insert_at([each.id for each in held], module_id, position)
    arrange(session, CourseModule, held, {course_id: order})
    module = CourseModule(
        id=module_id, course_id=course_id, position=order.index(module_id) + 1, **values
    )
    session.add(module)
    session.flush()
    return module


def update_module(
    session: Session,
    module_id: UUID,
    *,
    row_version: int | None = None,
    **changes: Unpack[ModuleChanges],
) -> CourseModule:
    """Change a module's title or description.

    Args:
        session: any session: the module's id tells its home.
        module_id: the module.
        row_version: the version that the change was decided on; None: whichever there is.
        **changes: see `ModuleChanges`.

    Raises:
        UnknownField, InvalidText: a change is wrong.
        ModuleNotFound: there is no such module.
        StaleEdit: somebody else has changed it meanwhile.
    """
    values = checked("module", CHECKS, changes)
    lock_course_of_module(session, module_id)
    module = session.scalars(select(CourseModule).where(CourseModule.id == module_id)).one()
    refuse_stale(module, row_version)
    for name, value in values.items():
        setattr(module, name, value)
    flush_edit(session, module)
    return module


def move_module(session: Session, module_id: UUID, position: int | None = None) -> None:
    """Move a module to another place in its course.

    Args:
        session: any session: the module's id tells its home.
        module_id: the module.
        position: its new place, from 1; None: the last one.

    Raises:
        InvalidPosition: there is no such place.
        ModuleNotFound: there is no such module.
        IsolationTooHigh: the transaction is not "read committed".
    """
    course_id = lock_course_of_module(session, module_id)
    held = _places(session, course_id)
    order = insert_at([each.id for each in held if each.id != module_id], module_id, position)
    arrange(session, CourseModule, held, {course_id: order})


def reorder_modules(session: Session, course_id: UUID, order: Sequence[UUID]) -> None:
    """Put all modules of a course in a new order.

    Args:
        session: any session: the course's id tells its home.
        course_id: the course.
        order: the ids of all its modules, each once.

    Raises:
        WrongOrder: one is missing, twice there, or of another course.
        CourseNotFound: there is no such course.
        IsolationTooHigh: the transaction is not "read committed".
    """
    lock_course(session, course_id)
    held = _places(session, course_id)
    wanted = same_set(course_id, "modules", order, [each.id for each in held])
    arrange(session, CourseModule, held, {course_id: wanted})


def _places(session: Session, course_id: UUID) -> list[Place]:
    rows = session.execute(
        select(CourseModule.id, CourseModule.course_id, CourseModule.position)
        .where(CourseModule.course_id == course_id)
        .order_by(CourseModule.position)
    )
    return [Place(*row) for row in rows]
