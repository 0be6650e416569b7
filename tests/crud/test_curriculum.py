"""What a course consists of."""

from __future__ import annotations

import pytest

from elearning.crud import (
    NewLesson,
    add_lesson,
    add_module,
    archive_lesson,
    curriculum,
    move_lesson,
    move_module,
)
from elearning.errors import CourseNotFound
from elearning.flows import Platform
from elearning.ids import new_id
from elearning.models import CompletionRule, CourseStatus, LessonType
from elearning.routing import Engines, RoutingSession
from tests.crud.editing import new_course, wait_everywhere
from tests.served import served


async def test_curriculum_in_one_statement_from_the_local_replica(
    session: RoutingSession, engines: Engines, platform: Platform
) -> None:
    course_id = new_course(session).id
    second = add_module(session, course_id, "Second", description="more")
    first = add_module(session, course_id, "First", position=1)
    add_module(session, course_id, "Empty")
    quiz = NewLesson(
        title="Quiz", lesson_type="quiz", completion_rule="score", completion_threshold=60
    )
    two = add_lesson(session, first.id, quiz).id
    content_id = new_id("europe")
    video = NewLesson(
        title="Video",
        lesson_type=LessonType.VIDEO,
        content_id=content_id,
        duration_minutes=7,
        is_preview=True,
    )
    one = add_lesson(session, first.id, video, position=1).id
    gone = add_lesson(session, second.id, video).id
    archive_lesson(session, gone)
    session.commit()
    wait_everywhere(engines)
    for region, node in (("asia", "asia-replica-1"), ("africa", "eu-replica-1")):
        with RoutingSession(engines=engines, region=region) as reader, served(engines) as nodes:
            found = curriculum(reader, course_id)
        assert nodes == [node]
        assert (found.course_id, found.title, found.status) == (
            course_id,
            "Café für alle",
            CourseStatus.DRAFT,
        )
        assert [(each.position, each.title) for each in found.modules] == [
            (1, "First"),
            (2, "Second"),
            (3, "Empty"),
        ]
        assert found.modules[1].description == "more"
        assert [(each.id, each.position) for each in found.lessons] == [(one, 1), (two, 2)]
        assert [len(each.lessons) for each in found.modules] == [2, 0, 0]
        shown = found.modules[0].lessons[0]
        assert (shown.content_id, shown.duration_minutes, shown.is_preview) == (
            content_id,
            7,
            True,
        )
        scored = found.modules[0].lessons[1]
        assert (scored.lesson_type, scored.completion_rule, scored.completion_threshold) == (
            LessonType.QUIZ,
            CompletionRule.SCORE,
            60,
        )
    async with platform.read_session("asia") as own:
        assert await own.run_sync(curriculum, course_id) == found


def test_curriculum_right_after_an_edit(session: RoutingSession, engines: Engines) -> None:
    course_id = new_course(session, region="asia").id
    first = add_module(session, course_id, "A").id
    second = add_module(session, course_id, "B").id
    lesson = add_lesson(session, first, NewLesson(title="L", lesson_type="reading")).id
    assert [each.title for each in curriculum(session, course_id).modules] == ["A", "B"]
    session.commit()
    move_module(session, second, 1)
    move_lesson(session, lesson, module_id=second)
    session.commit()
    # By its token it is read at home.
    with served(engines) as nodes:
        found = curriculum(session, course_id)
    assert set(nodes) <= {"asia-replica-1", "asia-primary"}
    assert [(each.title, len(each.lessons)) for each in found.modules] == [("B", 1), ("A", 0)]


def test_curriculum_of_nothing(session: RoutingSession) -> None:
    stranger = new_id("europe")
    with pytest.raises(CourseNotFound, match=str(stranger)):
        curriculum(session, stranger)
    empty = new_course(session)
    found = curriculum(session, empty.id)
    assert (found.modules, found.lessons) == ([], [])
