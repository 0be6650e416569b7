"""Whatever is done to a course, its modules and lessons stand as they would in plain lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elearning.crud import (
    NewLesson,
    add_lesson,
    add_module,
    archive_lesson,
    move_lesson,
    move_module,
    reorder_lessons,
    reorder_modules,
)
from elearning.routing import Engines, RoutingSession
from tests.crud.editing import lessons_of, modules_of, new_course

pytestmark = pytest.mark.unmeasured

VIDEO = NewLesson(title="L", lesson_type="video")
NUMBER = st.integers(0, 99)
KINDS = [
    *("add", "add", "add", "add module", "move", "move", "leave", "leave", "archive"),
    *("reorder", "turn", "move module", "reorder modules"),
]
STEPS = st.tuples(st.sampled_from(KINDS), NUMBER, NUMBER, NUMBER)
Step = tuple[str, int, int, int]


@dataclass
class Plain:
    """What a course should be: lists in lists."""

    modules: list[UUID] = field(default_factory=list)
    live: dict[UUID, list[UUID]] = field(default_factory=dict)
    archived: dict[UUID, list[UUID]] = field(default_factory=dict)

    def add_module(self, place: int, module_id: UUID) -> None:
        self.modules.insert(place, module_id)
        self.live[module_id], self.archived[module_id] = [], []

    def lesson(self, number: int) -> tuple[UUID, UUID] | None:
        """Return some lesson and its module; None: there is none."""
        every = [(one, each) for each in self.modules for one in self.live[each]]
        return every[number % len(every)] if every else None


def take(session: RoutingSession, course_id: UUID, plain: Plain, step: Step) -> None:
    name, first, second, third = step
    module_id = plain.modules[first % len(plain.modules)]
    live = plain.live[module_id]
    some = plain.lesson(first)
    match name:
        case "add module":
            place = second % (len(plain.modules) + 1)
            module = add_module(session, course_id, "M", position=place + 1)
            plain.add_module(place, module.id)
        case "move module":
            place = second % len(plain.modules)
            move_module(session, module_id, place + 1)
            plain.modules.remove(module_id)
            plain.modules.insert(place, module_id)
        case "reorder modules":
            plain.modules = turned(plain.modules, second)
            reorder_modules(session, course_id, plain.modules)
        case "add":
            # At each place, and at the end without a place.
            place = second % (len(live) + 2)
            position = place + 1 if place <= len(live) else None
            live.insert(place, add_lesson(session, module_id, VIDEO, position=position).id)
        case "move" if some:
            lesson_id, own = some
            place = second % len(plain.live[own])
            move_lesson(session, lesson_id, position=place + 1)
            plain.live[own].remove(lesson_id)
            plain.live[own].insert(place, lesson_id)
        case "leave" if some:
            lesson_id, own = some
            target = plain.modules[second % len(plain.modules)]
            plain.live[own].remove(lesson_id)
            place = third % (len(plain.live[target]) + 1)
            move_lesson(session, lesson_id, module_id=target, position=place + 1)
            plain.live[target].insert(place, lesson_id)
        case "archive" if some:
            lesson_id, own = some
            archive_lesson(session, lesson_id)
            plain.live[own].remove(lesson_id)
            plain.archived[own].append(lesson_id)
        case "reorder":
            plain.live[module_id] = turned(live, second)
            reorder_lessons(session, module_id, plain.live[module_id])
        case "turn":
            live.reverse()
            reorder_lessons(session, module_id, live)


def turned(order: list[UUID], number: int) -> list[UUID]:
    """Return another order of the same."""
    cut = number % (len(order) or 1)
    return [*order[cut:], *order[:cut]]


@pytest.fixture(scope="module")
def nobody(clean: Callable[[], None]) -> None:
    clean()


@pytest.fixture
def session(engines: Engines, nobody: None) -> Iterator[RoutingSession]:
    with RoutingSession(engines=engines, region="europe") as opened:
        yield opened


@given(st.lists(STEPS, min_size=5, max_size=15))
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_like_plain_lists(session: RoutingSession, steps: list[Step]) -> None:
    session.rollback()  # what the example before has done
    course_id = new_course(session).id
    plain = Plain()
    for _ in range(2):
        plain.add_module(len(plain.modules), add_module(session, course_id, "M").id)
    for step in steps:
        take(session, course_id, plain, step)
        assert modules_of(session, course_id) == [
            (one, place) for place, one in enumerate(plain.modules, start=1)
        ]
        found = lessons_of(session, course_id)
        for module_id in plain.modules:
            ended = plain.archived[module_id]
            wanted = [*plain.live[module_id], *ended]
            assert found[module_id] == [
                (one, place, one in ended) for place, one in enumerate(wanted, start=1)
            ], step
