"""Working on lessons, their rules, and where to go on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how
from hypothesis import strategies as st
from sqlalchemy import func, update

from elearning.config import Settings
from elearning.crud import (
    get_enrollment,
    mark_lesson_complete,
    mark_lesson_open,
    record_visit,
    resume,
    submit_attempt,
)
from elearning.errors import (
    EnrollmentNotActive,
    EnrollmentNotFound,
    InvalidAmount,
    LessonNotFound,
    LessonRuleNotMet,
)
from elearning.ids import new_id
from elearning.models import (
    CompletionRule,
    CourseLesson,
    Enrollment,
    EnrollmentStatus,
    LessonProgress,
)
from elearning.routing import Engines, ReadSession, RoutingSession
from tests.crud.learning import Studies, at_once, make_studies, wait_for_replicas
from tests.served import served
from tests.snapshots import Snapshot

STRANGER = new_id("europe")
MOST = 2**31 - 1


@pytest.fixture
def studies(session: RoutingSession) -> Studies:
    return make_studies(session)


def change(studies: Studies, lesson_id: UUID, **values: Any) -> None:
    studies.session.execute(
        update(CourseLesson).where(CourseLesson.id == lesson_id).values(**values)
    )


def test_a_visit_is_noted(studies: Studies) -> None:
    visit = record_visit(
        studies.session,
        studies.enrollment_id,
        studies.video,
        position=95,
        watched=80,
        time_spent=100,
    )
    assert (visit.lesson_id, visit.completed, visit.completion_date) == (
        studies.video,
        False,
        None,
    )
    assert (visit.last_position, visit.watched, visit.time_spent) == (95, 80, 100)
    row = studies.row(studies.video)
    assert (row.last_position, row.watched, row.time_spent) == (95, 80, 100)
    assert row.last_accessed is not None
    enrollment = get_enrollment(studies.session, studies.enrollment_id)
    assert enrollment.last_accessed is not None


def test_what_is_not_told_stays_and_time_adds_up(studies: Studies) -> None:
    record_visit(
        studies.session, studies.enrollment_id, studies.video, position=95, watched=80, time_spent=9
    )
    # Another player knows less of what was watched, and stands elsewhere.
    visit = record_visit(
        studies.session, studies.enrollment_id, studies.video, position=3, watched=5, time_spent=1
    )
    assert (visit.last_position, visit.watched, visit.time_spent) == (3, 80, 10)
    visit = record_visit(studies.session, studies.enrollment_id, studies.video)
    assert (visit.last_position, visit.watched, visit.time_spent) == (3, 80, 10)


def test_the_session_sees_what_was_noted(studies: Studies) -> None:
    row = studies.row(studies.text)
    enrollment = get_enrollment(studies.session, studies.enrollment_id)
    record_visit(studies.session, studies.enrollment_id, studies.text, time_spent=5, viewed=True)
    assert (row.time_spent, row.completed) == (5, True)
    assert enrollment.completed_lessons == 1
    # Neither is stale for the next flush.
    row.time_spent = 6
    enrollment.certificate_url = "https://example.org/1"
    studies.session.commit()


def test_time_does_not_overflow(studies: Studies) -> None:
    for _ in range(2):
        visit = record_visit(
            studies.session,
            studies.enrollment_id,
            studies.video,
            position=MOST,
            watched=MOST,
            time_spent=MOST,
        )
    assert (visit.last_position, visit.watched, visit.time_spent) == (MOST, MOST, MOST)
    assert visit.completed


def test_a_lesson_to_be_viewed_is_completed_when_told_so(studies: Studies) -> None:
    assert not record_visit(studies.session, studies.enrollment_id, studies.text).completed
    visit = record_visit(studies.session, studies.enrollment_id, studies.text, viewed=True)
    assert visit.completed
    again = record_visit(studies.session, studies.enrollment_id, studies.text, viewed=True)
    assert again.completion_date == visit.completion_date
    assert get_enrollment(studies.session, studies.enrollment_id).completed_lessons == 1


def test_a_video_is_completed_by_what_was_watched(studies: Studies) -> None:
    # 80 percent of 10 minutes
    almost = record_visit(
        studies.session, studies.enrollment_id, studies.video, watched=479, viewed=True
    )
    assert not almost.completed
    assert record_visit(
        studies.session, studies.enrollment_id, studies.video, watched=480
    ).completed
    assert get_enrollment(studies.session, studies.enrollment_id).completed_lessons == 1


def test_a_video_without_a_length_is_completed_when_told_so(studies: Studies) -> None:
    for minutes in (None, 0):
        change(studies, studies.video, duration_minutes=minutes)
        visit = record_visit(studies.session, studies.enrollment_id, studies.video, watched=9)
        assert not visit.completed
    visit = record_visit(studies.session, studies.enrollment_id, studies.video, viewed=True)
    assert visit.completed


def test_a_rule_that_was_eased_completes_with_the_next_visit(studies: Studies) -> None:
    record_visit(studies.session, studies.enrollment_id, studies.video, watched=300)
    change(studies, studies.video, completion_threshold=50)
    assert record_visit(studies.session, studies.enrollment_id, studies.video).completed


def test_the_last_lesson_completes_the_course(studies: Studies) -> None:
    for lesson_id in (studies.text, studies.essay):
        record_visit(studies.session, studies.enrollment_id, lesson_id, viewed=True)
    submit_attempt(studies.session, studies.enrollment_id, studies.quiz, 60)
    enrollment = get_enrollment(studies.session, studies.enrollment_id)
    assert enrollment.status == "active"
    record_visit(studies.session, studies.enrollment_id, studies.video, watched=600)
    assert enrollment.status == "completed"


def test_a_completed_course_is_looked_at_again(studies: Studies) -> None:
    test_the_last_lesson_completes_the_course(studies)
    visit = record_visit(studies.session, studies.enrollment_id, studies.text, time_spent=7)
    assert (visit.completed, visit.time_spent) == (True, 7)


@pytest.mark.parametrize("name", ["position", "watched", "time_spent"])
@pytest.mark.parametrize(
    "value",
    [-1, 2**31, 1.5, True, "1", pytest.param(10**5000, id="huge")],
)
def test_what_is_no_time(session: RoutingSession, name: str, value: Any) -> None:
    with served(session.engines) as nodes, pytest.raises(InvalidAmount):  # type: ignore[arg-type]
        record_visit(session, STRANGER, STRANGER, **{name: value})
    assert nodes == []


def test_rows_that_are_not_there(studies: Studies, snapshot: Snapshot) -> None:
    other = make_studies(studies.session)
    before = snapshot()
    with pytest.raises(EnrollmentNotFound, match=str(STRANGER)):
        record_visit(studies.session, STRANGER, studies.text)
    with pytest.raises(EnrollmentNotFound, match=str(STRANGER)):
        resume(studies.session, STRANGER)
    for lesson_id in (STRANGER, other.text):
        for work in (record_visit, mark_lesson_complete):
            with pytest.raises(LessonNotFound, match=f"has no lesson {lesson_id}"):
                work(studies.session, studies.enrollment_id, lesson_id)
            studies.session.rollback()
    assert snapshot() == before


@pytest.mark.parametrize("status", [EnrollmentStatus.DROPPED, EnrollmentStatus.EXPIRED])
def test_an_enrollment_that_is_over(
    studies: Studies, status: EnrollmentStatus, snapshot: Snapshot
) -> None:
    studies.session.execute(update(Enrollment).values(status=status))
    studies.session.commit()
    before = snapshot()
    with pytest.raises(EnrollmentNotActive, match=f"is {status}"):
        record_visit(studies.session, studies.enrollment_id, studies.text, viewed=True)
    studies.session.rollback()
    assert snapshot() == before
    # To look where one was is no progress.
    found = resume(studies.session, studies.enrollment_id)
    assert found is not None
    assert found.lesson_id == studies.text


def test_a_rule_that_is_not_met(studies: Studies, snapshot: Snapshot) -> None:
    record_visit(studies.session, studies.enrollment_id, studies.video, watched=479)
    studies.session.commit()
    before = snapshot()
    with pytest.raises(LessonRuleNotMet, match="watched, from 80 percent on, and there are 79"):
        mark_lesson_complete(studies.session, studies.enrollment_id, studies.video)
    studies.session.rollback()
    with pytest.raises(LessonRuleNotMet, match="score, from 60 percent on, and there are none"):
        mark_lesson_complete(studies.session, studies.enrollment_id, studies.quiz)
    studies.session.rollback()
    assert snapshot() == before
    submit_attempt(studies.session, studies.enrollment_id, studies.quiz, "59.99")
    with pytest.raises(LessonRuleNotMet) as caught:
        mark_lesson_complete(studies.session, studies.enrollment_id, studies.quiz)
    assert caught.value.values == {
        "enrollment_id": studies.enrollment_id,
        "lesson_id": studies.quiz,
        "rule": "score",
        "threshold": 60,
        "value": Decimal("59.99"),
    }


def test_a_rule_that_is_met(studies: Studies) -> None:
    record_visit(studies.session, studies.enrollment_id, studies.video, watched=480)
    mark_lesson_open(studies.session, studies.enrollment_id, studies.video)
    progress = mark_lesson_complete(studies.session, studies.enrollment_id, studies.video)
    assert progress.completed_lessons == 1
    submit_attempt(studies.session, studies.enrollment_id, studies.quiz, 60)
    mark_lesson_open(studies.session, studies.enrollment_id, studies.quiz)
    progress = mark_lesson_complete(studies.session, studies.enrollment_id, studies.quiz)
    assert progress.completed_lessons == 2
    change(studies, studies.video, duration_minutes=None)
    mark_lesson_open(studies.session, studies.enrollment_id, studies.video)
    progress = mark_lesson_complete(studies.session, studies.enrollment_id, studies.video)
    assert progress.completed_lessons == 2


def test_what_is_done_stays_done_when_the_rule_is_harder(studies: Studies) -> None:
    record_visit(studies.session, studies.enrollment_id, studies.video, watched=480)
    change(studies, studies.video, completion_threshold=100)
    progress = mark_lesson_complete(
        studies.session, studies.enrollment_id, studies.video, time_spent=5
    )
    assert progress.completed_lessons == 1
    assert record_visit(studies.session, studies.enrollment_id, studies.video).completed


def test_completing_a_lesson_notes_when(studies: Studies) -> None:
    mark_lesson_complete(studies.session, studies.enrollment_id, studies.text)
    assert studies.row(studies.text).last_accessed is not None


@how(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rule=st.sampled_from(CompletionRule),
    threshold=st.integers(1, 100),
    minutes=st.none() | st.integers(0, 3) | st.just(MOST),
    watched=st.integers(0, 200) | st.just(MOST),
    score=st.none() | st.decimals(0, 100, places=2),
    viewed=st.booleans(),
)
def test_rules_by_chance(
    studies: Studies,
    rule: CompletionRule,
    threshold: int,
    minutes: int | None,
    watched: int,
    score: Decimal | None,
    viewed: bool,
) -> None:
    """What completes by a visit, and by being told so, is what Python computes."""
    change(
        studies,
        studies.video,
        completion_rule=rule,
        completion_threshold=None if rule is CompletionRule.VIEWED else threshold,
        duration_minutes=minutes,
    )
    studies.session.execute(update(LessonProgress).values(best_score=score))
    long = 60 * (minutes or 0)
    by_itself = {
        CompletionRule.VIEWED: False,
        CompletionRule.WATCHED: long > 0 and 100 * watched >= threshold * long,
        CompletionRule.SCORE: score is not None and score >= threshold,
    }[rule]
    when_told = by_itself or rule is CompletionRule.VIEWED
    when_told = when_told or (rule is CompletionRule.WATCHED and long == 0)
    visit = record_visit(
        studies.session, studies.enrollment_id, studies.video, watched=watched, viewed=viewed
    )
    assert visit.completed is (by_itself or (viewed and when_told))
    assert (visit.completion_date is not None) is visit.completed
    mark_lesson_open(studies.session, studies.enrollment_id, studies.video)
    if when_told:
        mark_lesson_complete(studies.session, studies.enrollment_id, studies.video)
    else:
        with pytest.raises(LessonRuleNotMet):
            mark_lesson_complete(studies.session, studies.enrollment_id, studies.video)
    studies.session.rollback()


def test_the_statements_of_a_visit(studies: Studies, engines: Engines) -> None:
    with served(engines) as nodes:
        record_visit(studies.session, studies.enrollment_id, studies.video, watched=600)
    assert nodes == ["eu-primary"] * 2
    with served(engines) as nodes:
        mark_lesson_complete(studies.session, studies.enrollment_id, studies.text)
    assert nodes == ["eu-primary"] * 3


def test_visits_at_once_lose_nothing(studies: Studies, settings: Settings) -> None:
    at_once(
        settings,
        8,
        lambda own, number: record_visit(
            own, studies.enrollment_id, studies.video, watched=number, time_spent=1
        ),
    )
    row = studies.row(studies.video)
    assert (row.time_spent, row.watched) == (8, 7)


def resumed(studies: Studies) -> tuple[str, int | None] | None:
    found = resume(studies.session, studies.enrollment_id)
    return None if found is None else (found.title, found.last_position)


def test_a_course_is_gone_on_with(studies: Studies) -> None:
    enrollment_id = studies.enrollment_id
    assert resumed(studies) == ("Text", None)
    # The lesson last worked on, wherever it is.
    record_visit(studies.session, enrollment_id, studies.video, position=95)
    assert resumed(studies) == ("Video", 95)
    record_visit(studies.session, enrollment_id, studies.quiz)
    assert resumed(studies) == ("Quiz", None)
    # It is done: the next one, and what was left out only after that.
    submit_attempt(studies.session, enrollment_id, studies.quiz, 60)
    assert resumed(studies) == ("Essay", None)
    mark_lesson_complete(studies.session, enrollment_id, studies.essay)
    assert resumed(studies) == ("Text", None)
    mark_lesson_complete(studies.session, enrollment_id, studies.text)
    assert resumed(studies) == ("Video", 95)
    record_visit(studies.session, enrollment_id, studies.video, watched=600, position=600)
    assert resumed(studies) is None


def test_an_archived_lesson_is_not_gone_on_with(studies: Studies) -> None:
    record_visit(studies.session, studies.enrollment_id, studies.video, position=95)
    studies.session.execute(
        update(CourseLesson)
        .where(CourseLesson.id == studies.video)
        .values(archived_at=studies.row(studies.text).created_at)
    )
    assert resumed(studies) == ("Text", None)


def test_a_course_without_lessons_has_nothing_to_go_on_with(studies: Studies) -> None:
    studies.session.execute(update(CourseLesson).values(archived_at=func.now()))
    assert resumed(studies) is None


def test_where_it_is_read(studies: Studies, engines: Engines) -> None:
    record_visit(studies.session, studies.enrollment_id, studies.video, position=95)
    studies.session.commit()
    wait_for_replicas(engines, studies.session)
    with (
        ReadSession(engines=engines, region="asia", token=studies.session.token) as reader,
        served(engines) as nodes,
    ):
        found = resume(reader, studies.enrollment_id)
    assert nodes == ["eu-replica-1"]
    assert found is not None
    assert (found.lesson_id, found.module_id) == (studies.video, studies.module_ids[0])
    assert found.last_accessed is not None
