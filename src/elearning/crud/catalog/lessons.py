"""The lessons of a module: added, changed, moved, archived.

The places of those that are not archived are 1, 2, 3 … always; what is archived stands after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from elearning.crud.catalog.places import (
    Place,
    arrange,
    insert_at,
    lock_course_of_lesson,
    lock_course_of_module,
    same_set,
)
from elearning.crud.checks import (
    Check,
    checked,
    flag,
    flush_edit,
    one_of,
    one_uuid,
    refuse_stale,
    text_of,
    whole,
)
from elearning.errors import (
    CourseTooLong,
    ForeignModule,
    InvalidText,
    LessonArchived,
    ModuleNotFound,
)
from elearning.ids import new_id, region_of
from elearning.models import CompletionRule, CourseLesson, CourseModule, LessonType

__all__ = [
    "LessonChanges",
    "NewLesson",
    "add_lesson",
    "archive_lesson",
    "move_lesson",
    "reorder_lessons",
    "update_lesson",
]

MOST_LESSONS = 2_000
"""In a course, which is read at once."""

_CHECKS: Mapping[str, Check] = {
    "title": text_of(300),
    "lesson_type": one_of(LessonType),
    "content_id": one_uuid,
    "duration_minutes": whole(0),
    "is_preview": flag,
    "completion_rule": one_of(CompletionRule),
    "completion_threshold": whole(1, 100),
}


class LessonChanges(TypedDict, total=False):
    """What of a lesson can be changed."""

    title: str
    lesson_type: LessonType | str
    content_id: UUID | None
    duration_minutes: int | None
    is_preview: bool
    completion_rule: CompletionRule | str
    completion_threshold: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewLesson:
    """A lesson that is added. Checked when made.

    Raises:
        InvalidText: what was wrong.
    """

    title: str
    lesson_type: LessonType | str
    content_id: UUID | None = None
    duration_minutes: int | None = None
    is_preview: bool = False
    completion_rule: CompletionRule | str = CompletionRule.VIEWED
    completion_threshold: int | None = None

    def __post_init__(self) -> None:
        values = checked("lesson", _CHECKS, self.values())
        _check_rule(values["completion_rule"], values["completion_threshold"])
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def values(self) -> dict[str, Any]:
        """Return all fields by name."""
        return {name: getattr(self, name) for name in _CHECKS}


def _check_rule(rule: CompletionRule, threshold: int | None) -> None:
    if (rule == CompletionRule.VIEWED) != (threshold is None):
        problem = "is given for the rules 'watched' and 'score', and for them alone"
        raise InvalidText(field="completion_threshold", problem=problem)


class _Lessons(NamedTuple):
    """The lessons of some modules, in their order."""

    places: Sequence[Place]
    archived: frozenset[UUID]

    def live(self, module_id: UUID) -> list[UUID]:
        return [
            one.id
            for one in self.places
            if one.owner_id == module_id and one.id not in self.archived
        ]

    def all_after(self, module_id: UUID, live: Sequence[UUID]) -> list[UUID]:
        """Return an order of a module's lessons with what is archived at its end."""
        ended = [
            one.id for one in self.places if one.owner_id == module_id and one.id in self.archived
        ]
        return [*live, *ended]


def add_lesson(
    session: Session, module_id: UUID, lesson: NewLesson, *, position: int | None = None
) -> CourseLesson:
    """Add a lesson to a module, for everybody who takes the course.

    Args:
        session: any session: the module's id tells its home.
        module_id: the module.
        lesson: what is added.
        position: its place, from 1; those after it move on. None: the last one.

    Raises:
        InvalidPosition: there is no such place.
        ModuleNotFound: there is no such module.
        CourseTooLong: its course has too many lessons already.
        IsolationTooHigh: the transaction is not "read committed".
    """
    course_id = lock_course_of_module(session, module_id)
    number = session.execute(
        select(func.count())
        .select_from(CourseLesson)
        .join(CourseModule, CourseModule.id == CourseLesson.module_id)
        .where(CourseModule.course_id == course_id, CourseLesson.archived_at.is_(None))
    ).scalar_one()
    if number >= MOST_LESSONS:
        raise CourseTooLong(course_id=course_id, most=MOST_LESSONS, things="lessons")
    lessons = _lessons(session, (module_id,))
    lesson_id = new_id(region_of(module_id))
    order = insert_at(lessons.live(module_id), lesson_id, position)
    arrange(session, CourseLesson, lessons.places, {module_id: lessons.all_after(module_id, order)})
    row = CourseLesson(
        id=lesson_id, module_id=module_id, position=order.index(lesson_id) + 1, **lesson.values()
    )
    session.add(row)
    session.flush()
    return row


def update_lesson(
    session: Session,
    lesson_id: UUID,
    *,
    row_version: int | None = None,
    **changes: Unpack[LessonChanges],
) -> CourseLesson:
    """Change what a lesson is, not its place.

    Args:
        session: any session: the lesson's id tells its home.
        lesson_id: the lesson.
        row_version: the version that the change was decided on; None: whichever there is.
        **changes: see `LessonChanges`.

    Raises:
        UnknownField, InvalidText: a change is wrong.
        CourseLessonNotFound: there is no such lesson.
        StaleEdit: somebody else has changed it meanwhile.
    """
    values = checked("lesson", _CHECKS, changes)
    lock_course_of_lesson(session, lesson_id)
    lesson = session.scalars(select(CourseLesson).where(CourseLesson.id == lesson_id)).one()
    refuse_stale(lesson, row_version)
    _check_rule(
        values.get("completion_rule", lesson.completion_rule),
        values.get("completion_threshold", lesson.completion_threshold),
    )
    for name, value in values.items():
        setattr(lesson, name, value)
    flush_edit(session, lesson)
    return lesson


def move_lesson(
    session: Session,
    lesson_id: UUID,
    *,
    module_id: UUID | None = None,
    position: int | None = None,
) -> None:
    """Move a lesson to another place, also in another module of its course.

    Args:
        session: any session: the lesson's id tells its home.
        lesson_id: the lesson.
        module_id: where it comes; None: it stays in its module.
        position: its new place, from 1; None: the last one.

    Raises:
        InvalidPosition: there is no such place.
        CourseLessonNotFound, ModuleNotFound: no such row.
        ForeignModule: the module is of another course.
        LessonArchived: the lesson is archived.
        IsolationTooHigh: the transaction is not "read committed".
    """
    course_id = lock_course_of_lesson(session, lesson_id)
    if module_id is not None:
        owner = session.scalar(select(CourseModule.course_id).where(CourseModule.id == module_id))
        if owner is None:
            raise ModuleNotFound(module_id=module_id)
        if owner != course_id:
            raise ForeignModule(module_id=module_id, course_id=course_id)
    left = session.scalars(select(CourseLesson.module_id).where(CourseLesson.id == lesson_id)).one()
    entered = left if module_id is None else module_id
    lessons = _lessons(session, {left, entered})
    if lesson_id in lessons.archived:
        raise LessonArchived(lesson_id=lesson_id)
    order = {
        each: [one for one in lessons.live(each) if one != lesson_id] for each in (left, entered)
    }
    order[entered] = insert_at(order[entered], lesson_id, position)
    arrange(
        session,
        CourseLesson,
        lessons.places,
        {each: lessons.all_after(each, live) for each, live in order.items()},
    )


def reorder_lessons(session: Session, module_id: UUID, order: Sequence[UUID]) -> None:
    """Put the lessons of a module in a new order.

    Args:
        session: any session: the module's id tells its home.
        module_id: the module.
        order: the ids of all its lessons that are not archived, each once.

    Raises:
        WrongOrder: one is missing, twice there, archived, or of another module.
        ModuleNotFound: there is no such module.
        IsolationTooHigh: the transaction is not "read committed".
    """
    lock_course_of_module(session, module_id)
    lessons = _lessons(session, (module_id,))
    live = same_set(module_id, "lessons", order, lessons.live(module_id))
    arrange(session, CourseLesson, lessons.places, {module_id: lessons.all_after(module_id, live)})


def archive_lesson(session: Session, lesson_id: UUID) -> None:
    """Take a lesson out of its course, for everybody; what was done in it is kept.

    One that is archived stays so.

    Args:
        session: any session: the lesson's id tells its home.
        lesson_id: the lesson.

    Raises:
        CourseLessonNotFound: there is no such lesson.
        IsolationTooHigh: the transaction is not "read committed".
    """
    lock_course_of_lesson(session, lesson_id)
    lesson = session.scalars(
        select(CourseLesson)
        .where(CourseLesson.id == lesson_id)
        .execution_options(populate_existing=True)
    ).one()
    if lesson.archived_at is not None:
        return
    module_id = lesson.module_id
    lesson.archived_at = func.clock_timestamp()
    flush_edit(session, lesson)
    lessons = _lessons(session, (module_id,))
    live = lessons.live(module_id)
    ended = [one for one in lessons.all_after(module_id, ()) if one != lesson_id]
    arrange(session, CourseLesson, lessons.places, {module_id: [*live, *ended, lesson_id]})


def _lessons(session: Session, modules: Iterable[UUID]) -> _Lessons:
    rows = session.execute(
        select(
            CourseLesson.id,
            CourseLesson.module_id,
            CourseLesson.position,
            CourseLesson.archived_at.is_not(None).label("is_archived"),
        )
        .where(CourseLesson.module_id.in_(sorted(modules)))
        .order_by(CourseLesson.module_id, CourseLesson.position)
    ).all()
    return _Lessons(
        [Place(row.id, row.module_id, row.position) for row in rows],
        frozenset(row.id for row in rows if row.is_archived),
    )
