from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from elearning.crud import (
    add_review,
    answer_review,
    delete_review,
    edit_review,
    figures_of,
    get_review,
    hide_review,
    ratings_of,
    show_review,
)
from elearning.errors import (
    AccountNotActive,
    AlreadyReviewed,
    ElearningError,
    EnrollmentNotFound,
    InvalidRating,
    InvalidText,
    NotTheInstructor,
    ReviewNotFound,
    UserNotFound,
)
from elearning.flows import Platform
from elearning.ids import new_id, region_of
from elearning.models import Course
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.databases import wait_copied
from tests.crud.reviewing import REGIONS, Classroom, make_classroom, replayed
from tests.served import served


@pytest.fixture
def classroom(engines: Engines, empty_databases: None) -> Classroom:
    return make_classroom(engines)


def written(classroom: Classroom, *, region: str = "europe", rating: int = 4) -> UUID:
    with classroom.session(region) as session:
        review = add_review(session, classroom.enrollments[region][0], rating, "Fine")
        session.commit()
        return review.id


def stored(classroom: Classroom) -> list[Any]:
    columns = "rating, review_text, answer, hidden_reason, updated_at"
    return classroom.rows(f"SELECT {columns} FROM course_reviews ORDER BY id")


@pytest.mark.parametrize("home", REGIONS)
def test_add_review_from_any_session(classroom: Classroom, home: str) -> None:
    enrollment_id = classroom.enrollments[home][0]
    shard = classroom.engines.home(home)
    with classroom.session("asia") as session, served(classroom.engines) as nodes:
        review = add_review(session, enrollment_id, 5, "  Very good ")
        assert nodes == [f"{shard}-primary"] * 2
        assert (review.rating, review.review_text) == (5, "Very good")
        assert (review.answer, review.hidden_at) == (None, None)
        assert (review.enrollment_id, review.course_id) == (enrollment_id, classroom.course_id)
        assert region_of(review.id) is Region(home)
        session.commit()
        review_id = review.id
    with classroom.session("asia") as session, pytest.raises(AlreadyReviewed) as caught:
        add_review(session, enrollment_id, 1)
    assert caught.value.values["review_id"] == review_id
    assert len(stored(classroom)) == 1


def test_of_an_enrollment_that_is_not_there(classroom: Classroom) -> None:
    for strange in (new_id("asia"), new_id("europe"), uuid4()):
        with classroom.session() as session, pytest.raises(EnrollmentNotFound, match=str(strange)):
            add_review(session, strange, 3)


def test_a_rating_that_is_none(classroom: Classroom) -> None:
    review_id = written(classroom)
    before = stored(classroom)
    wrong: list[Any] = [0, 6, -1, 4.0, True, "5", 10**30, Decimal(3)]
    with classroom.session("asia") as session, served(classroom.engines) as nodes:
        for rating in wrong:
            with pytest.raises(InvalidRating, match="1 \\(worst\\) to 5"):
                add_review(session, classroom.enrollments["asia"][0], rating)
            with pytest.raises(InvalidRating):
                edit_review(session, review_id, rating=rating)
        assert nodes == []
    assert stored(classroom) == before


def test_a_text_that_is_none(classroom: Classroom) -> None:
    review_id = written(classroom)
    before = stored(classroom)
    wrong: list[Any] = ["x" * 5_001, "a\x00b", "\ud800", b"bytes", 7]
    with classroom.session("asia") as session, served(classroom.engines) as nodes:
        for text in wrong:
            with pytest.raises(InvalidText):
                add_review(session, classroom.enrollments["asia"][0], 3, text)
            with pytest.raises(InvalidText):
                edit_review(session, review_id, text=text)
            with pytest.raises(InvalidText):
                answer_review(session, review_id, classroom.instructor_id, text)
        for reason in [*wrong, "", "   ", "x" * 1_001]:
            with pytest.raises(InvalidText):
                hide_review(session, review_id, reason)
        assert nodes == []
    assert stored(classroom) == before


def test_a_suspended_user_writes_nothing(classroom: Classroom) -> None:
    review_id = written(classroom, region="asia")
    for region in ("europe", "asia"):
        classroom.suspend(classroom.users[region][0], region)
    classroom.suspend(classroom.instructor_id, "europe")
    before = stored(classroom)
    with classroom.session() as session:
        with pytest.raises(AccountNotActive, match="suspended"):
            add_review(session, classroom.enrollments["europe"][0], 4)
        session.commit()
        with pytest.raises(AccountNotActive, match=str(classroom.users["asia"][0])):
            edit_review(session, review_id, rating=1)
        session.commit()
        with pytest.raises(AccountNotActive, match=str(classroom.instructor_id)):
            answer_review(session, review_id, classroom.instructor_id, "Thanks")
        session.commit()
    assert stored(classroom) == before


def test_edit_review(classroom: Classroom) -> None:
    review_id = written(classroom, region="asia", rating=2)
    with classroom.session("north_america") as session, served(classroom.engines) as nodes:
        review = edit_review(session, review_id, rating=5)
        assert nodes == ["asia-primary"] * 2
        assert (review.rating, review.review_text) == (5, "Fine")
        assert (edit_review(session, review_id, text="").review_text, review.rating) == ("", 5)
        version = review.row_version
        assert edit_review(session, review_id).row_version == version  # nothing to write
        session.commit()


def test_delete_review(classroom: Classroom) -> None:
    review_id = written(classroom, region="asia")
    with classroom.session("europe") as session:
        held = get_review(session, review_id)
        with served(classroom.engines) as nodes:
            delete_review(session, review_id)
        assert nodes == ["asia-primary"]
        assert held not in session
        session.commit()
        # Then there may be another one.
        add_review(session, classroom.enrollments["asia"][0], 1)
        session.commit()


def test_a_review_that_is_not_there(classroom: Classroom) -> None:
    strange = new_id("asia")
    with classroom.session() as session:
        for operation in (
            lambda: get_review(session, strange),
            lambda: edit_review(session, strange, rating=2),
            lambda: delete_review(session, strange),
            lambda: hide_review(session, strange, "Spam"),
            lambda: show_review(session, strange),
            lambda: answer_review(session, strange, classroom.instructor_id, "Thanks"),
        ):
            with pytest.raises(ReviewNotFound, match=str(strange)):
                operation()


def test_get_review_on_the_replica(classroom: Classroom) -> None:
    review_id = written(classroom, region="asia")
    replayed(classroom.engines, classroom.token)
    with classroom.session("europe") as session, served(classroom.engines) as nodes:
        assert get_review(session, review_id).rating == 4
    assert nodes == ["asia-replica-1"]


def test_hide_and_show_review(classroom: Classroom) -> None:
    review_id = written(classroom, region="asia")
    with classroom.session() as session:
        with served(classroom.engines) as nodes:
            review = hide_review(session, review_id, "Spam")
        assert nodes == ["asia-primary"] * 2
        since = review.hidden_at
        assert since is not None
        assert review.hidden_reason == "Spam"
        again = hide_review(session, review_id, "Abuse")
        assert (again.hidden_at, again.hidden_reason) == (since, "Abuse")
        # Whoever wrote it may go on; it stays hidden.
        assert edit_review(session, review_id, rating=1).hidden_at == since
        for _ in range(2):
            shown = show_review(session, review_id)
            assert (shown.hidden_at, shown.hidden_reason) == (None, None)
        session.commit()


def test_answer_review(classroom: Classroom) -> None:
    review_id = written(classroom, region="asia")
    replayed(classroom.engines, classroom.token)
    with classroom.session("north_america") as session:
        with served(classroom.engines) as nodes:
            review = answer_review(session, review_id, classroom.instructor_id, " Thanks ")
        # The instructor's account is in europe, the review and the course's copy in asia.
        assert nodes == ["eu-replica-1", "asia-primary", "asia-primary"]
        assert review.answer == "Thanks"
        first = review.answered_at
        assert first is not None
        again = answer_review(session, review_id, classroom.instructor_id, "Thank you")
        assert again.answer == "Thank you"
        assert again.answered_at is not None
        assert again.answered_at > first
        back = answer_review(session, review_id, classroom.instructor_id, None)
        assert (back.answer, back.answered_at) == (None, None)
        session.commit()


def test_only_the_instructor_answers(classroom: Classroom) -> None:
    review_id = written(classroom, region="asia")
    before = stored(classroom)
    refused: dict[UUID, type[ElearningError]] = {
        classroom.users["europe"][0]: NotTheInstructor,
        classroom.users["asia"][0]: NotTheInstructor,
        new_id("europe"): UserNotFound,
    }
    for user_id, error in refused.items():
        for text in ("Mine", None):
            with classroom.session() as session:
                with pytest.raises(error, match=str(user_id)):
                    answer_review(session, review_id, user_id, text)
                session.commit()
    assert stored(classroom) == before


def test_a_loaded_course_shows_the_new_rating(classroom: Classroom) -> None:
    seen: list[tuple[Decimal | None, int]] = []
    with classroom.session() as session:
        course = session.get_one(Course, classroom.course_id)

        def see() -> None:
            seen.append((course.rating, course.total_ratings))

        see()
        review_id = add_review(session, classroom.enrollments["europe"][0], 4).id
        see()
        edit_review(session, review_id, rating=2)
        see()
        hide_review(session, review_id, "Spam")
        see()
        edit_review(session, review_id, rating=5)
        see()
        show_review(session, review_id)
        see()
        delete_review(session, review_id)
        see()
        session.commit()
    assert seen == [(None, 0), (4, 1), (2, 1), (None, 0), (None, 0), (5, 1), (None, 0)]


def test_a_loaded_copy_shows_the_new_rating_after_the_transaction(classroom: Classroom) -> None:
    with classroom.session("asia") as session:
        course = session.get_one(Course, classroom.course_id)
        assert course.total_ratings == 0
        add_review(session, classroom.enrollments["asia"][0], 4)
        session.commit()
        assert str(course.rating) == "4.00"
        assert course.total_ratings == 1


CHANGES: dict[str, Callable[[RoutingSession, UUID, UUID], object]] = {
    "add": lambda session, _review_id, enrollment_id: add_review(session, enrollment_id, 5),
    "edit": lambda session, review_id, _: edit_review(session, review_id, rating=1),
    "hide": lambda session, review_id, _: hide_review(session, review_id, "Spam"),
    "show": lambda session, review_id, _: show_review(session, review_id),
    "delete": lambda session, review_id, _: delete_review(session, review_id),
}


Counted = tuple[Decimal | None, int, dict[int, int]]


def counted(classroom: Classroom, region: str) -> Counted:
    """Return what a shard's counters say, which agree with one another."""
    with RoutingSession(engines=classroom.engines, region=region, consistency="primary") as session:
        figures = figures_of(session, classroom.course_id)
        ratings = ratings_of(session, classroom.course_id)
    assert (ratings.mean, ratings.total) == (figures.rating, figures.total_ratings)
    return figures.rating, figures.total_ratings, dict(ratings.numbers)


def summed_up(found: list[int]) -> Counted:
    mean = round(Decimal(sum(found)) / len(found), 2) if found else None
    return mean, len(found), {rating: found.count(rating) for rating in range(1, 6)}


def test_a_rating_is_right_at_once_at_home_and_soon_everywhere(
    engines: Engines, empty_databases: None
) -> None:
    classroom = make_classroom(engines, size=2)
    ids: dict[str, UUID] = {}
    for number, region in enumerate(REGIONS):
        with classroom.session("asia") as session:
            ids[region] = add_review(session, classroom.enrollments[region][0], 2 + number).id
            session.commit()
    shown = "FROM course_reviews WHERE course_id = :course AND hidden_at IS NULL"
    for name, change in CHANGES.items():
        for region in REGIONS:
            with classroom.session("north_america") as session:
                change(session, ids[region], classroom.enrollments[region][1])
                # At once, in the same transaction: the session stays on that primary.
                at_once = ratings_of(session, classroom.course_id, region=region)
                session.commit()
            plain = classroom.rows(
                f"SELECT rating {shown} AND region_code_of(id) = :code",
                course=classroom.course_id,
                code=Region(region).code,
            )
            assert at_once.numbers == summed_up([row[0] for row in plain])[2], (name, region)
        # Soon, on all shards.
        wait_copied(engines)
        plain = classroom.rows(f"SELECT rating {shown}", course=classroom.course_id)
        expected = summed_up([row[0] for row in plain])
        assert [counted(classroom, there) for there in REGIONS] == [expected] * 3, name
        courses = classroom.rows(
            "SELECT rating, total_ratings FROM courses WHERE id = :id", id=classroom.course_id
        )
        assert courses == [expected[:2]] * 3, name


async def test_in_an_asynchronous_session(platform: Platform, engines: Engines) -> None:
    classroom = make_classroom(engines)
    async with platform.session("asia") as session:
        review = await session.run_sync(add_review, classroom.enrollments["europe"][0], 3)
        await session.commit()
    async with platform.read_session("asia", token=session.token) as reader:
        assert (await reader.run_sync(get_review, review.id)).rating == 3
