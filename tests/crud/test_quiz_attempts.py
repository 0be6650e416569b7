"""Attempts at quizzes: numbered, bounded, never changed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from elearning.config import Settings
from elearning.crud import (
    get_enrollment,
    list_attempts,
    mark_lesson_open,
    record_visit,
    submit_attempt,
)
from elearning.errors import (
    EnrollmentNotActive,
    EnrollmentNotFound,
    InvalidPage,
    InvalidScore,
    InvalidText,
    LessonNotFound,
    LessonNotScored,
    NotPermitted,
)
from elearning.ids import new_id
from elearning.models import Enrollment, EnrollmentStatus, QuizAttempt
from elearning.routing import Engines, ReadSession, RoutingSession
from tests.crud.learning import Studies, at_once, make_studies, wait_for_replicas
from tests.served import served
from tests.snapshots import Snapshot

STRANGER = new_id("europe")


@pytest.fixture
def studies(session: RoutingSession) -> Studies:
    return make_studies(session)


def submit(studies: Studies, score: Any, answers: Any = None) -> Any:
    return submit_attempt(
        studies.session, studies.enrollment_id, studies.quiz, score, answers=answers
    )


def test_attempts_and_their_best(studies: Studies) -> None:
    first = submit(studies, 55, {"1": "a"})
    assert (first.number, first.score, first.best_score) == (1, 55, 55)
    assert (first.passed, first.completed) == (False, False)
    second = submit(studies, Decimal("72.50"))
    assert (second.number, second.best_score) == (2, Decimal("72.50"))
    assert (second.passed, second.completed) == (True, True)
    third = submit(studies, "30")
    assert (third.number, third.score, third.best_score) == (3, 30, Decimal("72.50"))
    # This one was not enough; the lesson is done.
    assert (third.passed, third.completed) == (False, True)
    row = studies.row(studies.quiz)
    assert (row.best_score, row.completed) == (Decimal("72.50"), True)
    assert row.last_accessed is not None
    enrollment = get_enrollment(studies.session, studies.enrollment_id)
    assert enrollment.completed_lessons == 1
    assert enrollment.last_accessed is not None
    stored = studies.session.get_one(QuizAttempt, first.attempt_id)
    assert (stored.answers, stored.score) == ({"1": "a"}, Decimal(55))
    assert stored.submitted_at is not None


def test_an_attempt_at_what_asks_for_no_score(studies: Studies) -> None:
    attempt = submit_attempt(studies.session, studies.enrollment_id, studies.essay, 99)
    assert (attempt.number, attempt.passed, attempt.completed) == (1, None, False)
    record_visit(studies.session, studies.enrollment_id, studies.essay, viewed=True)
    attempt = submit_attempt(studies.session, studies.enrollment_id, studies.essay, 1)
    assert (attempt.number, attempt.best_score, attempt.completed) == (2, Decimal(99), True)


def test_a_completion_that_was_taken_back_returns_with_the_next_attempt(studies: Studies) -> None:
    submit(studies, 100)
    mark_lesson_open(studies.session, studies.enrollment_id, studies.quiz)
    attempt = submit(studies, 0)
    assert (attempt.passed, attempt.completed) == (False, True)


def test_lessons_that_take_no_attempts(studies: Studies, snapshot: Snapshot) -> None:
    other = make_studies(studies.session)
    before = snapshot()
    for lesson_id, error, problem in (
        (studies.text, LessonNotScored, f"{studies.text} is a reading"),
        (studies.video, LessonNotScored, f"{studies.video} is a video"),
        (other.quiz, LessonNotFound, f"{studies.enrollment_id} has no lesson {other.quiz}"),
        (STRANGER, LessonNotFound, f"has no lesson {STRANGER}"),
    ):
        with pytest.raises(error, match=problem):
            submit_attempt(studies.session, studies.enrollment_id, lesson_id, 50)
        studies.session.rollback()
    with pytest.raises(EnrollmentNotFound, match=str(STRANGER)):
        submit_attempt(studies.session, STRANGER, studies.quiz, 50)
    studies.session.rollback()
    assert snapshot() == before


def test_an_enrollment_that_is_over(studies: Studies, snapshot: Snapshot) -> None:
    studies.session.execute(update(Enrollment).values(status=EnrollmentStatus.DROPPED))
    studies.session.commit()
    before = snapshot()
    with pytest.raises(EnrollmentNotActive, match="is dropped"):
        submit(studies, 50)
    studies.session.rollback()
    assert snapshot() == before


@pytest.mark.parametrize(
    ("score", "problem"),
    [
        (-1, "-1 is out of range"),
        ("100.01", "100.01 is out of range"),
        ("1E+999999", "is out of range"),
        ("59.999", "59.999 is too precise"),
        ("1E-999999", "is too precise"),
        ("1E-999999999", "is too precise"),
        ("59." + "9" * 40, "is too precise"),
        ("NaN", "is not finite"),
        (Decimal("sNaN"), "is not finite"),
        ("-Infinity", "is not finite"),
        ("sixty", "'sixty' is not a number"),
        ("", "'' is not a number"),
        ("9" * 10_000, "is out of range"),
        (59.5, "of type float is no Decimal"),
        (True, "of type bool is no Decimal"),
        (None, "of type NoneType is no Decimal"),
    ],
    ids=range(16),
)
def test_what_is_no_score(session: RoutingSession, score: Any, problem: str) -> None:
    with served(session.engines) as nodes, pytest.raises(InvalidScore, match=problem):  # type: ignore[arg-type]
        submit_attempt(session, STRANGER, STRANGER, score)
    assert nodes == []


def nested(depth: int) -> Any:
    made: Any = 1
    for _ in range(depth):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"a": "x" * 100_000}, "have 100009 characters"),
        ({"a": "x\x00"}, "NUL"),
        ({"x\x00": 1}, "NUL"),
        ("\ud800", "no JSON"),
        ({"a": float("nan")}, "no JSON"),
        ({"a": float("inf")}, "no JSON"),
        ({"a": Decimal(1)}, "no JSON"),
        ({"a": {1, 2}}, "no JSON"),
        (b"x", "no JSON"),
        ({(1, 2): 3}, "no JSON"),
        (10**5000, "no JSON"),
        (nested(49_000), "no JSON"),
        (nested(201), "nested deeper than 200"),
    ],
    ids=range(13),
)
def test_what_are_no_answers(session: RoutingSession, answers: Any, problem: str) -> None:
    with served(session.engines) as nodes, pytest.raises(InvalidText, match=problem):  # type: ignore[arg-type]
        submit_attempt(session, STRANGER, STRANGER, 50, answers=answers)
    assert nodes == []


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    # Beyond 2**53 a float comes back as the whole number that PostgreSQL writes for it.
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@how(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(answers=json_values, score=st.decimals(0, 100, places=2))
def test_answers_are_kept(studies: Studies, answers: Any, score: Decimal) -> None:
    attempt = submit(studies, score, answers)
    studies.session.expire_all()
    stored = studies.session.get_one(QuizAttempt, attempt.attempt_id)
    assert (stored.answers, stored.score) == (answers, score)
    studies.session.rollback()


def test_answers_as_deep_and_long_as_may_be(studies: Studies) -> None:
    for answers in (nested(200), "x" * 99_998, "\u20ac" * 16_666, 10**4000):
        submit(studies, 1, answers)
    assert (
        studies.session.scalar(select(QuizAttempt.number).order_by(QuizAttempt.number.desc())) == 4
    )


def test_a_text_that_only_looks_like_nul_is_kept(studies: Studies) -> None:
    attempt = submit(studies, 1, {"a": "\\u0000"})
    studies.session.expire_all()
    stored = studies.session.get_one(QuizAttempt, attempt.attempt_id)
    assert stored.answers == {"a": "\\u0000"}


def test_attempts_at_once_are_numbered_without_gaps(studies: Studies, settings: Settings) -> None:
    made = at_once(
        settings,
        8,
        lambda own, number: submit_attempt(own, studies.enrollment_id, studies.quiz, 10 * number),
    )
    assert sorted(each.number for each in made) == list(range(1, 9))
    assert studies.row(studies.quiz).best_score == 70
    by_number = sorted(made, key=lambda each: each.number)
    assert [each.best_score for each in by_number] == [
        max(each.score for each in by_number[: n + 1]) for n in range(8)
    ]


def test_an_attempt_that_was_rolled_back_leaves_no_gap(studies: Studies) -> None:
    submit(studies, 1)
    studies.session.commit()
    submit(studies, 2)
    studies.session.rollback()
    assert submit(studies, 3).number == 2


def test_attempts_are_only_added(studies: Studies) -> None:
    attempt = submit(studies, 50)
    studies.session.commit()
    for change in (update(QuizAttempt).values(score=99), delete(QuizAttempt)):
        with pytest.raises(NotPermitted, match="elearning_app"):
            studies.session.execute(change)
        studies.session.rollback()
    assert studies.session.get_one(QuizAttempt, attempt.attempt_id).score == 50


def test_the_list_of_attempts(studies: Studies, engines: Engines) -> None:
    for score in (10, 20, 30):
        submit(studies, score, {"long": "x" * 1000})
    submit_attempt(studies.session, studies.enrollment_id, studies.essay, 99)
    studies.session.commit()
    wait_for_replicas(engines, studies.session)
    attempts = list_attempts(studies.enrollment_id, studies.quiz)
    with (
        ReadSession(engines=engines, region="asia", token=studies.session.token) as reader,
        served(engines) as nodes,
    ):
        page = attempts.page(reader, size=2)
        rest = attempts.page(reader, size=2, after=page.next)
    assert nodes == ["eu-replica-1"] * 2
    assert [(each.number, each.score) for each in page.items] == [
        (3, Decimal(30)),
        (2, Decimal(20)),
    ]
    assert [(each.number, each.score) for each in rest.items] == [(1, Decimal(10))]
    assert rest.next is None
    with pytest.raises(InvalidPage):
        attempts.page(studies.session, after="x")


def test_the_statements_of_an_attempt(studies: Studies, engines: Engines) -> None:
    submit(studies, 1)
    studies.session.commit()
    with served(engines) as nodes:
        submit(studies, 60)
    assert nodes == ["eu-primary"] * 3
