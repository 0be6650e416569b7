"""Modules and lessons: added, changed, moved, archived; their places have no gaps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, update

from elearning.crud import (
    NewLesson,
    add_lesson,
    add_module,
    archive_lesson,
    enroll_user,
    get_course,
    move_lesson,
    move_module,
    publish_course,
    reorder_lessons,
    reorder_modules,
    update_lesson,
    update_module,
)
from elearning.crud.catalog import lessons, modules
from elearning.errors import (
    CourseLessonNotFound,
    CourseNotFound,
    CourseTooLong,
    ElearningError,
    ForeignModule,
    InvalidPosition,
    InvalidText,
    IsolationTooHigh,
    LessonArchived,
    ModuleNotFound,
    StaleEdit,
    UnknownField,
    WrongOrder,
)
from elearning.ids import new_id
from elearning.models import CompletionRule, CourseLesson, Enrollment, LessonType
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound
from tests.crud.editing import lessons_of, modules_of, new_course
from tests.models.running import miscounted
from tests.served import served
from tests.snapshots import Snapshot

VIDEO = NewLesson(title="L", lesson_type="video")
STRANGER = new_id("europe")


def make(session: RoutingSession, *sizes: int, region: str = "europe") -> tuple[UUID, list[UUID]]:
    """Make a course of modules with so many lessons; return its id and theirs."""
    course_id = new_course(session, region=region).id
    found = []
    for size in sizes:
        module_id = add_module(session, course_id, "M").id
        found.append(module_id)
        for _ in range(size):
            add_lesson(session, module_id, VIDEO)
    return course_id, found


def ids_of(session: RoutingSession, course_id: UUID) -> dict[UUID, list[UUID]]:
    """Return the lessons of each module in order, after a look at their places."""
    found = lessons_of(session, course_id)
    for rows in found.values():
        assert [row[1] for row in rows] == list(range(1, len(rows) + 1))
        assert [row[2] for row in rows] == sorted(row[2] for row in rows)
    return {module_id: [row[0] for row in rows] for module_id, rows in found.items()}


def test_modules_in_order(session: RoutingSession) -> None:
    course_id = new_course(session).id
    a = add_module(session, course_id, " A ", description="d")
    b = add_module(session, course_id, "B", position=1)
    c = add_module(session, course_id, "C", position=2)
    assert (a.title, a.description, b.position, c.position) == ("A", "d", 1, 2)
    assert modules_of(session, course_id) == [(b.id, 1), (c.id, 2), (a.id, 3)]
    # What the session holds is read again.
    assert a.position == 3
    move_module(session, a.id, 1)
    assert [one for one, _ in modules_of(session, course_id)] == [a.id, b.id, c.id]
    move_module(session, a.id, 2)
    assert [one for one, _ in modules_of(session, course_id)] == [b.id, a.id, c.id]
    move_module(session, b.id)
    assert [one for one, _ in modules_of(session, course_id)] == [a.id, c.id, b.id]
    reorder_modules(session, course_id, [b.id, c.id, a.id])
    assert modules_of(session, course_id) == [(b.id, 1), (c.id, 2), (a.id, 3)]


def test_lessons_in_order(session: RoutingSession) -> None:
    course_id, (one, two) = make(session, 3, 2)
    a, b, c = ids_of(session, course_id)[one]
    d, e = ids_of(session, course_id)[two]
    move_lesson(session, c, position=1)
    assert ids_of(session, course_id) == {one: [c, a, b], two: [d, e]}
    move_lesson(session, c)
    move_lesson(session, a, module_id=two, position=2)
    assert ids_of(session, course_id) == {one: [b, c], two: [d, a, e]}
    move_lesson(session, a, module_id=one)
    reorder_lessons(session, one, [a, c, b])
    assert ids_of(session, course_id) == {one: [a, c, b], two: [d, e]}
    archive_lesson(session, a)
    assert ids_of(session, course_id)[one] == [c, b, a]
    # A new one comes before what is archived, and so does one from elsewhere.
    f = add_lesson(session, one, VIDEO)
    assert f.position == 3
    move_lesson(session, e, module_id=one)
    archive_lesson(session, c)
    assert ids_of(session, course_id) == {one: [b, f.id, e, a, c], two: [d]}
    archived = session.get_one(CourseLesson, c).archived_at
    assert archived is not None
    archive_lesson(session, c)
    assert session.get_one(CourseLesson, c).archived_at == archived
    move_lesson(session, d, module_id=one, position=1)
    assert ids_of(session, course_id) == {one: [d, b, f.id, e, a, c], two: []}


def test_what_is_loaded_is_not_taken_for_the_new_order(session: RoutingSession) -> None:
    course_id, (one, two) = make(session, 2, 0)
    session.commit()
    course = get_course(session, course_id)
    first = course.modules[0].lessons[0]
    assert first.position == 1
    move_lesson(session, first.id, module_id=two)
    move_module(session, two, 1)
    assert (first.module_id, first.position) == (two, 1)
    session.expire_all()
    again = get_course(session, course_id)
    assert [each.id for each in again.modules] == [two, one]
    assert [len(each.lessons) for each in again.modules] == [1, 1]


def test_gaps_that_were_there_are_closed(session: RoutingSession) -> None:
    course_id, (one,) = make(session, 3)
    a, b, c = ids_of(session, course_id)[one]
    places = {a: 5, b: 1_000_000, c: 2_147_483_647}
    for lesson_id, position in places.items():
        session.execute(
            update(CourseLesson).where(CourseLesson.id == lesson_id).values(position=position)
        )
    move_lesson(session, c, position=2)
    assert ids_of(session, course_id)[one] == [a, c, b]


def test_update_module_and_lesson(session: RoutingSession, engines: Engines) -> None:
    course_id, (module_id,) = make(session, 1, region="asia")
    (lesson_id,) = ids_of(session, course_id)[module_id]
    session.commit()
    with served(engines) as nodes:
        module = update_module(session, module_id, title="New", description="")
        lesson = update_lesson(
            session,
            lesson_id,
            title="New",
            lesson_type="quiz",
            completion_rule="score",
            completion_threshold=50,
            is_preview=True,
            duration_minutes=5,
            content_id=module_id,
        )
    assert nodes == ["asia-primary"] * 6
    assert module.title == "New"
    assert (lesson.lesson_type, lesson.completion_rule) == (LessonType.QUIZ, CompletionRule.SCORE)
    assert (lesson.is_preview, lesson.duration_minutes, lesson.content_id) == (True, 5, module_id)
    versions = module.row_version, lesson.row_version
    session.commit()
    with RoutingSession(engines=engines, region="europe") as other:
        update_module(other, module_id, row_version=versions[0], title="Theirs")
        update_lesson(other, lesson_id, row_version=versions[1], title="Theirs")
        other.commit()
        for late in (
            lambda: update_module(other, module_id, row_version=versions[0], title="Late"),
            lambda: update_lesson(other, lesson_id, row_version=versions[1], title="Late"),
        ):
            with pytest.raises(StaleEdit):
                late()
    # A place is no edit: who decided on a lesson that has only been shifted may go on.
    session.rollback()
    session.expire_all()
    version = session.get_one(CourseLesson, lesson_id).row_version
    add_lesson(session, module_id, VIDEO, position=1)
    assert update_lesson(session, lesson_id, row_version=version, title="Mine").position == 2


WRONG_LESSONS: list[tuple[str, dict[str, Any], type[ElearningError]]] = [
    ("empty", {"title": ""}, InvalidText),
    ("kind", {"lesson_type": "film"}, InvalidText),
    ("content", {"content_id": "x"}, InvalidText),
    ("duration", {"duration_minutes": -1}, InvalidText),
    ("preview", {"is_preview": 1}, InvalidText),
    ("rule", {"completion_rule": "score"}, InvalidText),
    ("threshold", {"completion_threshold": 5}, InvalidText),
    ("much", {"completion_rule": "score", "completion_threshold": 101}, InvalidText),
    ("unknown", {"position": 3}, UnknownField),
]


def test_what_is_wrong_is_said_before_anything_is_written(
    session: RoutingSession, snapshot: Snapshot
) -> None:
    course_id, (one, two) = make(session, 2, 1)
    other_course, (other,) = make(session, 1)
    a, b = ids_of(session, course_id)[one]
    (c,) = ids_of(session, course_id)[two]
    (strange,) = ids_of(session, other_course)[other]
    archive_lesson(session, b)
    far_course, (far,) = [STRANGER], [new_id("asia")]
    missing: Any = None
    session.commit()
    before = snapshot()
    cases: list[tuple[type[ElearningError], str, Any]] = [
        (CourseNotFound, "", lambda: add_module(session, far_course[0], "M")),
        (CourseNotFound, "", lambda: reorder_modules(session, STRANGER, [])),
        (ModuleNotFound, "", lambda: add_lesson(session, STRANGER, VIDEO)),
        (ModuleNotFound, "", lambda: move_module(session, STRANGER, 1)),
        (ModuleNotFound, "", lambda: update_module(session, STRANGER, title="M")),
        (ModuleNotFound, "", lambda: reorder_lessons(session, STRANGER, [])),
        (ModuleNotFound, "", lambda: move_lesson(session, a, module_id=STRANGER)),
        (ModuleNotFound, "", lambda: move_lesson(session, a, module_id=far)),
        (CourseLessonNotFound, "", lambda: move_lesson(session, STRANGER, position=1)),
        (CourseLessonNotFound, "", lambda: archive_lesson(session, STRANGER)),
        (CourseLessonNotFound, "", lambda: update_lesson(session, STRANGER, title="L")),
        (ForeignModule, str(other), lambda: move_lesson(session, a, module_id=other)),
        (LessonArchived, str(b), lambda: move_lesson(session, b, position=1)),
        (InvalidText, "title", lambda: add_module(session, course_id, " ")),
        (InvalidText, "title", lambda: update_module(session, one, title="x" * 301)),
        (UnknownField, "row_id", lambda: update_module(session, one, row_id=1)),  # type: ignore[call-arg]
        (WrongOrder, "1 of 2", lambda: reorder_modules(session, course_id, [one])),
        (WrongOrder, "one twice", lambda: reorder_modules(session, course_id, [one, one])),
        (WrongOrder, str(other), lambda: reorder_modules(session, course_id, [two, other])),
        (WrongOrder, "None", lambda: reorder_modules(session, course_id, [one, missing])),
        (WrongOrder, "0 of 1", lambda: reorder_lessons(session, one, [])),
        (WrongOrder, str(b), lambda: reorder_lessons(session, one, [a, b])),
        (WrongOrder, str(c), lambda: reorder_lessons(session, one, [c])),
        (WrongOrder, str(strange), lambda: reorder_lessons(session, one, [a, strange])),
    ]
    for position in (0, -1, 4, True, 1.0, "1", 10**5000):
        wrong: Any = position
        cases += [
            (
                InvalidPosition,
                "1 to 3",
                lambda p=wrong: add_module(session, course_id, "M", position=p),
            ),
            (
                InvalidPosition,
                "1 to 2",
                lambda p=wrong: add_lesson(session, one, VIDEO, position=p),
            ),
            (InvalidPosition, "1 to 2", lambda p=wrong: move_module(session, one, p)),
            (InvalidPosition, "1 to 1", lambda p=wrong: move_lesson(session, a, position=p)),
        ]
    for _, values, error in WRONG_LESSONS:
        cases.append((error, "", lambda v=values: update_lesson(session, a, **v)))
        if error is not UnknownField:
            cases.append(
                (
                    error,
                    "",
                    lambda v=values: NewLesson(**({"title": "L", "lesson_type": "video"} | v)),
                )
            )
    for error, message, wrongly in cases:
        with pytest.raises(error, match=message or None):
            wrongly()
        session.commit()
    assert snapshot() == before


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_that_looks_back_is_refused(session: RoutingSession, level: str) -> None:
    _, (one,) = make(session, 1)
    session.commit()
    session.connection(execution_options={"isolation_level": level})
    with pytest.raises(IsolationTooHigh):
        add_lesson(session, one, VIDEO, position=1)


def test_a_course_has_an_end(session: RoutingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "MOST_MODULES", 2)
    monkeypatch.setattr(lessons, "MOST_LESSONS", 3)
    course_id, (one, two) = make(session, 2, 1)
    with pytest.raises(CourseTooLong, match="2 modules"):
        add_module(session, course_id, "M")
    with pytest.raises(CourseTooLong, match="3 lessons"):
        add_lesson(session, two, VIDEO)
    archive_lesson(session, ids_of(session, course_id)[one][0])
    add_lesson(session, two, VIDEO)


@pytest.mark.parametrize("size", [3, 30])
def test_the_number_of_statements_is_bounded(
    session: RoutingSession, engines: Engines, size: int
) -> None:
    course_id, (one, two) = make(session, size, 2, region="asia")
    first, *_, last = ids_of(session, course_id)[one]
    (extra, _) = ids_of(session, course_id)[two]
    session.commit()
    counted: dict[str, int] = {}
    rows: list[int] = []

    def note(_c: object, cursor: Any, sql: str, *_: object) -> None:
        if sql.startswith("UPDATE"):
            rows.append(cursor.rowcount)

    engine = engines.primary("asia").engine
    operations: dict[str, Callable[[], object]] = {
        "add": lambda: add_lesson(session, one, VIDEO, position=1),
        "append": lambda: add_lesson(session, one, VIDEO),
        "move": lambda: move_lesson(session, last, position=1),
        "same": lambda: move_lesson(session, last, position=1),
        "leave": lambda: move_lesson(session, extra, module_id=one, position=1),
        "reorder": lambda: reorder_lessons(session, one, ids_of(session, course_id)[one][::-1]),
        "archive": lambda: archive_lesson(session, first),
        "module": lambda: move_module(session, two, 1),
    }
    for name, operation in operations.items():
        with served(engines) as nodes:
            event.listen(engine, "after_cursor_execute", note)
            operation()
            event.remove(engine, "after_cursor_execute", note)
        assert set(nodes) == {"asia-primary"}
        counted[name] = len(nodes)
    assert counted == {
        "add": 6,
        "append": 4,
        "move": 5,
        "same": 3,
        "leave": 6,
        "reorder": 6,  # two of them are the test's
        "archive": 6,
        "module": 4,
    }
    assert max(rows) <= size + 4  # each row once in a statement


def test_everybody_in_the_course_has_what_is_added(session: RoutingSession) -> None:
    course_id, (one, two) = make(session, 2, 1)
    publish_course(session, course_id)
    with bound(session):
        user = UserFactory.create()
    enrollment_id = enroll_user(session, user.id, course_id)
    a, b = ids_of(session, course_id)[one]
    add_lesson(session, one, VIDEO, position=1)
    move_lesson(session, a, module_id=two, position=1)
    archive_lesson(session, b)
    assert session.get_one(Enrollment, enrollment_id).total_lessons == 3
    assert miscounted(session) == []


async def test_in_an_async_session(session: RoutingSession, platform: Any) -> None:
    course_id, (one,) = make(session, 2)
    session.commit()
    async with platform.session("asia") as own, own.begin():
        added = await own.run_sync(add_lesson, one, VIDEO, position=1)
        assert added.position == 1
    with RoutingSession(engines=session.engines, region="europe", consistency="primary") as fresh:
        assert ids_of(fresh, course_id)[one][0] == added.id
