from __future__ import annotations

import pytest
from sqlalchemy import update

from elearning.crud import mark_lesson_complete, mark_lesson_open
from elearning.errors import EnrollmentNotActive, EnrollmentNotFound, LessonNotFound
from elearning.ids import new_id
from elearning.models import Enrollment, EnrollmentStatus
from elearning.routing import RoutingSession
from tests.models.running import Running, make_running

STRANGER = new_id("europe")


@pytest.fixture
def running(session: RoutingSession) -> Running:
    return make_running(session, 2)


def test_a_completion_is_taken_back(running: Running) -> None:
    first, second = running.lessons
    enrollment_id = running.enroll()
    mark_lesson_complete(running.session, enrollment_id, first, time_spent=60)
    mark_lesson_complete(running.session, enrollment_id, second)
    assert running.shown(enrollment_id) == "2/2 100.00 completed"
    for _ in range(2):  # what is open stays open
        progress = mark_lesson_open(running.session, enrollment_id, first)
        assert (progress.completed_lessons, progress.total_lessons) == (1, 2)
        assert progress.status is EnrollmentStatus.ACTIVE
        assert progress.completion_date is None
        assert running.shown(enrollment_id) == "1/2 50.00 active"
    mark_lesson_complete(running.session, enrollment_id, first)
    assert running.shown(enrollment_id) == "2/2 100.00 completed"


def test_what_cannot_be_opened(running: Running) -> None:
    enrollment_id = running.enroll(running.lessons[0])
    with pytest.raises(EnrollmentNotFound, match=str(STRANGER)):
        mark_lesson_open(running.session, STRANGER, running.lessons[0])
    with pytest.raises(LessonNotFound, match=f"{enrollment_id} has no lesson {STRANGER}"):
        mark_lesson_open(running.session, enrollment_id, STRANGER)
    running.session.execute(update(Enrollment).values(status=EnrollmentStatus.DROPPED))
    with pytest.raises(EnrollmentNotActive, match="is dropped"):
        mark_lesson_open(running.session, enrollment_id, running.lessons[0])
    assert running.shown(enrollment_id) == "1/2 50.00 dropped"
