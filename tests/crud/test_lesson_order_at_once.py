"""Several who edit one course at once, and what the other shards see of it."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import select

from elearning.config import Settings
from elearning.crud import (
    NewLesson,
    add_lesson,
    add_module,
    archive_lesson,
    enroll_user,
    move_lesson,
    move_module,
    publish_course,
    reorder_lessons,
)
from elearning.errors import InvalidPosition, LessonArchived, WrongOrder
from elearning.models import CourseLesson, CourseModule
from elearning.routing import Engines, RoutingSession
from elearning.testing.copies import wait_copied
from elearning.testing.factories import UserFactory, bound
from tests.crud.editing import lessons_of, modules_of, new_course
from tests.crud.test_lesson_order import ids_of, make
from tests.models.running import miscounted
from tests.models.support import pid_of, stops_another, until
from tests.snapshots import connect

VIDEO = NewLesson(title="L", lesson_type="video")
EDITORS, TURNS = 5, 12


def edit(engines: Engines, course_id: UUID, number: int, barrier: Barrier) -> int:
    """Edit a course from any region, by chance; return how many lessons were added."""
    chance = random.Random(number)
    added = 0
    barrier.wait()
    for _ in range(TURNS):
        region = chance.choice(["europe", "asia", "north_america"])
        with RoutingSession(engines=engines, region=region, consistency="primary") as own:
            modules = own.scalars(
                select(CourseModule.id).where(CourseModule.course_id == course_id)
            ).all()
            lessons = own.scalars(
                select(CourseLesson.id).where(
                    CourseLesson.module_id.in_(modules), CourseLesson.archived_at.is_(None)
                )
            ).all()
            own.rollback()
            module_id, lesson_id = chance.choice(modules), chance.choice(lessons)
            try:
                match chance.randrange(6):
                    case 0:
                        add_lesson(own, module_id, VIDEO, position=1)
                        added += 1
                    case 1:
                        move_lesson(own, lesson_id, module_id=module_id)
                    case 2:
                        move_lesson(own, lesson_id, position=1)
                    case 3:
                        move_module(own, module_id, chance.randint(1, 3))
                    case 4:
                        archive_lesson(own, lesson_id)
                    case _:
                        present = own.scalars(
                            select(CourseLesson.id).where(
                                CourseLesson.module_id == module_id,
                                CourseLesson.archived_at.is_(None),
                            )
                        ).all()
                        reorder_lessons(own, module_id, chance.sample(present, len(present)))
                own.commit()
            except (LessonArchived, WrongOrder, InvalidPosition):
                # Somebody else was quicker.
                own.rollback()
    return added


def test_many_editors_of_one_course(session: RoutingSession, engines: Engines) -> None:
    course_id, _ = make(session, 4, 4, 4)
    publish_course(session, course_id)
    session.commit()
    with bound(session):
        user = UserFactory.create(region="europe")
    session.commit()
    barrier = Barrier(EDITORS + 1)

    def enroll() -> None:
        with RoutingSession(engines=engines, region="europe") as own:
            barrier.wait()
            enroll_user(own, user_id, course_id)
            own.commit()

    user_id = user.id
    session.rollback()
    with ThreadPoolExecutor(EDITORS + 1) as threads:
        student = threads.submit(enroll)
        editors = [
            threads.submit(edit, engines, course_id, number, barrier) for number in range(EDITORS)
        ]
        added = sum(each.result() for each in editors)
        student.result()
    with RoutingSession(engines=engines, region="europe", consistency="primary") as fresh:
        found = ids_of(fresh, course_id)
        assert sum(map(len, found.values())) == 12 + added
        assert [place for _, place in modules_of(fresh, course_id)] == [1, 2, 3]
        assert miscounted(fresh) == []
    wait_copied(engines)
    with RoutingSession(engines=engines, region="europe", consistency="primary") as fresh:
        there = modules_of(fresh, course_id), lessons_of(fresh, course_id)
    for region in ("asia", "north_america"):
        with RoutingSession(engines=engines, region=region, consistency="primary") as copy:
            copied = [
                copy.execute(
                    select(CourseModule.id, CourseModule.position).order_by(CourseModule.position),
                    execution_options={"region": region},
                ).all(),
                copy.execute(
                    select(
                        CourseLesson.module_id,
                        CourseLesson.id,
                        CourseLesson.position,
                        CourseLesson.archived_at.is_not(None),
                    ).order_by(CourseLesson.module_id, CourseLesson.position),
                    execution_options={"region": region},
                ).all(),
            ]
        assert [tuple(row) for row in copied[0]] == there[0]
        assert [tuple(row) for row in copied[1]] == [
            (module_id, *row) for module_id in sorted(there[1]) for row in there[1][module_id]
        ]


def test_whoever_comes_second_waits(session: RoutingSession, engines: Engines) -> None:
    course_id, (one, two) = make(session, 2, 0)
    first, second = ids_of(session, course_id)[one]
    session.commit()

    def other() -> None:
        with RoutingSession(engines=engines, region="asia") as own:
            move_lesson(own, second, module_id=two, position=1)
            own.commit()

    with engines.primary("eu").engine.connect() as watch, ThreadPoolExecutor(1) as thread:
        add_lesson(session, two, VIDEO)
        pid = pid_of(session.connection())
        late = thread.submit(other)
        until(lambda: late.done() or stops_another(watch, pid))
        assert not late.done()
        session.commit()
        late.result()
    with RoutingSession(engines=engines, region="europe", consistency="primary") as fresh:
        found = ids_of(fresh, course_id)
    assert found[one] == [first]
    assert found[two][0] == second
    assert len(found[two]) == 2


def test_no_row_of_a_copy_stands_where_another_one_is(
    session: RoutingSession, engines: Engines, settings: Settings
) -> None:
    """Copies are changed row by row: each step of an order has to be one that a table can have."""
    course_id, (one, two) = make(session, 8, 3)
    session.commit()
    errors = {name: failures(settings, name) for name in ("na", "asia")}
    for _ in range(3):
        order = live_of(session, course_id)
        reorder_lessons(session, one, order[one][::-1])
        move_lesson(session, order[one][0], module_id=two, position=1)
        move_lesson(session, order[two][0], module_id=one, position=1)
        archive_lesson(session, add_lesson(session, one, VIDEO, position=1).id)
        move_module(session, two, 1)
        move_module(session, one, 1)
        session.commit()
    wait_copied(engines)
    assert {name: failures(settings, name) for name in ("na", "asia")} == errors


def live_of(session: RoutingSession, course_id: UUID) -> dict[UUID, list[UUID]]:
    """Return the lessons that are not archived."""
    found = lessons_of(session, course_id)
    return {module_id: [row[0] for row in rows if not row[2]] for module_id, rows in found.items()}


def failures(settings: Settings, shard: str) -> int:
    """Return how often copying to a shard has failed."""
    with connect(settings.shard(shard).owner_url) as owner:
        row = owner.execute(
            "SELECT sum(apply_error_count) FROM pg_stat_subscription_stats"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_module_for_each_editor(session: RoutingSession, engines: Engines) -> None:
    course_id = new_course(session).id
    session.commit()
    barrier = Barrier(EDITORS)

    def add(number: int) -> None:
        with RoutingSession(engines=engines, region="asia") as own:
            barrier.wait()
            add_module(own, course_id, f"M{number}", position=1)
            own.commit()

    with ThreadPoolExecutor(EDITORS) as threads:
        list(threads.map(add, range(EDITORS)))
    with RoutingSession(engines=engines, region="europe", consistency="primary") as fresh:
        assert [place for _, place in modules_of(fresh, course_id)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("region", ["africa", "oceania"])
def test_edits_go_home_from_anywhere(
    session: RoutingSession, engines: Engines, region: str
) -> None:
    course_id, (one,) = make(session, 1, region="asia")
    session.commit()
    with RoutingSession(engines=engines, region=region) as own:
        add_lesson(own, one, VIDEO, position=1)
        own.commit()
        assert set(own.token) == {"asia"}
        assert len(ids_of(own, course_id)[one]) == 2
