from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from elearning.crud import (
    add_review,
    hide_review,
    list_course_reviews,
    list_user_reviews,
    ratings_of,
)
from elearning.crud.listing import ItemPage, Listing
from elearning.errors import InvalidPage, InvalidRating, InvalidText, UnknownRegion
from elearning.flows import Platform
from elearning.ids import new_id
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from elearning.testing.databases import wait_copied
from tests.crud.reviewing import REGIONS, Classroom, analyze, make_classroom, plan_of, replayed
from tests.served import served

RATINGS = (5, 1, 4, 4, 3)
"""Of five people in each region, in the order of time; the last of them is hidden."""


@pytest.fixture
def reviewed(engines: Engines, empty_databases: None) -> Classroom:
    classroom = make_classroom(engines, size=len(RATINGS))
    for hour, region in enumerate(REGIONS):
        with classroom.session(region) as session:
            made = [
                add_review(session, enrollment_id, rating, region)
                for enrollment_id, rating in zip(
                    classroom.enrollments[region], RATINGS, strict=True
                )
            ]
            hide_review(session, made[-1].id, "Spam")
            for day, review in enumerate(made, start=1):
                session.execute(
                    text("UPDATE course_reviews SET created_at = :at WHERE id = :id"),
                    {"at": datetime(2026, 3, day, hour, tzinfo=UTC), "id": review.id},
                )
            session.commit()
    replayed(engines, classroom.token)
    return classroom


def everything(listing: Listing[Any], read: Any, *, size: int = 2) -> list[Any]:
    """Return what all pages hold."""
    found: list[Any] = []
    page: ItemPage[Any] = read(listing, size=size)
    while True:
        assert len(page.items) <= size
        found += page.items
        if page.next is None:
            return found
        page = read(listing, size=size, after=page.next)


def test_reviews_of_a_course_in_one_region(reviewed: Classroom) -> None:
    for region in REGIONS:
        shard = reviewed.engines.home(region)
        with reviewed.session(region) as session, served(reviewed.engines) as nodes:
            found = everything(
                list_course_reviews(reviewed.course_id),
                lambda listing, **where: listing.page(session, **where),
            )
            assert nodes == [f"{shard}-replica-1"] * 2
            assert [each.rating for each in found] == [4, 4, 1, 5]
            names = {user.id: user.first_name for user in session.query(User)}
        assert [each.reviewer_id for each in found] == list(reviewed.users[region][3::-1])
        assert [each.reviewer_first_name for each in found] == [
            names[each.reviewer_id] for each in found
        ]
        assert {each.text for each in found} == {region}


ORDERS = {
    "newest": [4, 4, 4, 4, 4, 4, 1, 1, 1, 5, 5, 5],
    "highest": [5, 5, 5, 4, 4, 4, 4, 4, 4, 1, 1, 1],
    "lowest": [1, 1, 1, 4, 4, 4, 4, 4, 4, 5, 5, 5],
}


def test_reviews_of_a_course_everywhere(reviewed: Classroom) -> None:
    def read(listing: Listing[Any], **where: Any) -> ItemPage[Any]:
        with served(reviewed.engines) as nodes:
            page = listing.everywhere(reviewed.engines, **where)
        assert sorted(nodes) == ["asia-replica-1", "eu-replica-1", "na-replica-1"]
        return page

    for order, ratings in ORDERS.items():
        found = everything(list_course_reviews(reviewed.course_id, order=order), read, size=5)
        assert [each.rating for each in found] == ratings, order
        times = [each.created_at for each in found]
        if order == "newest":
            assert times == sorted(times, reverse=True)
        fours = [each.created_at for each in found if each.rating == 4]
        assert fours == sorted(fours, reverse=order != "lowest"), order
    fives = everything(list_course_reviews(reviewed.course_id, rating=5), read)
    assert [each.text for each in fives] == ["asia", "north_america", "europe"]


def test_hidden_reviews_are_listed_for_who_asks(reviewed: Classroom) -> None:
    with reviewed.session() as session:
        page = list_course_reviews(reviewed.course_id, hidden=True).page(session)
        assert [(each.rating, each.hidden_reason) for each in page.items][:2] == [
            (3, "Spam"),
            (4, None),
        ]
        assert len(page.items) == len(RATINGS)
        hidden = reviewed.users["asia"][-1]
        assert list_user_reviews(hidden).page(session).items == []
        (own,) = list_user_reviews(hidden, hidden=True).page(session).items
        assert own.hidden_reason == "Spam"


def test_reviews_of_a_user(reviewed: Classroom) -> None:
    user_id = reviewed.users["asia"][0]
    with reviewed.session("europe") as session, served(reviewed.engines) as nodes:
        (found,) = list_user_reviews(user_id).page(session).items
    assert nodes == ["asia-replica-1"]
    assert (found.rating, found.course_id) == (5, reviewed.course_id)
    assert found.enrollment_id == reviewed.enrollments["asia"][0]
    assert found.course_title


def test_bad_input_of_lists(reviewed: Classroom) -> None:
    course_id = reviewed.course_id
    with pytest.raises(InvalidText, match="order: 'best' is none of newest, highest, lowest"):
        list_course_reviews(course_id, order="best")
    with pytest.raises(InvalidRating):
        list_course_reviews(course_id, rating=9)
    with reviewed.session() as session:
        after = list_course_reviews(course_id).page(session, size=1).next
        assert after is not None
        with pytest.raises(InvalidPage):
            list_course_reviews(course_id, order="highest").page(session, after=after)
        with pytest.raises(InvalidPage):
            list_course_reviews(course_id).page(session, after=after[:-1])
        with pytest.raises(UnknownRegion):
            ratings_of(session, course_id, region="mars")


def test_how_often_each_rating_was_given(reviewed: Classroom) -> None:
    wait_copied(reviewed.engines)
    strange: UUID = new_id("asia")
    for region in REGIONS:
        with RoutingSession(
            engines=reviewed.engines, region=region, consistency="primary"
        ) as session:
            with served(reviewed.engines) as nodes:
                world = ratings_of(session, reviewed.course_id)
            assert nodes == [f"{reviewed.engines.home(region)}-primary"]
            assert world.numbers == {1: 3, 2: 0, 3: 0, 4: 6, 5: 3}
            assert (world.total, str(world.mean)) == (12, "3.50")
            here = ratings_of(session, reviewed.course_id, region="asia")
            assert here.numbers == {1: 1, 2: 0, 3: 0, 4: 2, 5: 1}
            none = ratings_of(session, strange)
            assert (none.total, none.mean) == (0, None)


async def test_lists_in_an_asynchronous_program(platform: Platform, engines: Engines) -> None:
    classroom = make_classroom(engines, regions=("europe",))
    async with platform.session("europe") as session:
        await session.run_sync(add_review, classroom.enrollments["europe"][0], 3)
        await session.commit()
        page = await session.run_sync(list_course_reviews(classroom.course_id).page)
        assert [each.rating for each in page.items] == [3]
        page = await list_course_reviews(classroom.course_id).everywhere_async(
            platform.engines, token=session.token
        )
        assert [each.rating for each in page.items] == [3]


PLANS: dict[str, dict[str, Any]] = {
    "newest": {},
    "highest": {"order": "highest"},
    "lowest": {"order": "lowest"},
    "of a rating": {"rating": 4},
}


MANY = (
    """
    INSERT INTO users (id, region, email, first_name, last_name)
    SELECT new_id(3), 'europe', n || '@example.com', 'R', 'N' FROM generate_series(1, 2000) AS n
    """,
    """
    INSERT INTO enrollments (id, user_id, course_id)
    SELECT new_id(3), u.id, c.id FROM users AS u, courses AS c WHERE u.last_name = 'N'
    """,
    """
    INSERT INTO course_reviews (id, enrollment_id, course_id, rating)
    SELECT new_id(3), e.id, e.course_id, 1 + row_number() OVER () % 5
    FROM enrollments AS e JOIN users AS u ON u.id = e.user_id WHERE u.last_name = 'N'
    """,
)
"""Reviews that are all of one moment, as an import makes them."""


def test_a_far_page_is_read_by_an_index(engines: Engines, empty_databases: None) -> None:
    classroom = make_classroom(engines, regions=("europe",))
    with engines.primary("eu").engine.begin() as connection:
        for sql in MANY:
            connection.execute(text(sql))
    analyze(engines, "eu", "users", "enrollments", "course_reviews")
    for name, options in PLANS.items():
        index = f"idx_course_reviews_{'course_id' if name == 'newest' else 'rating'}"
        listing = list_course_reviews(classroom.course_id, **options)
        with classroom.session() as session:
            after = listing.page(session, size=200).next
            plan = plan_of(session, listing, after)
            assert index in plan, (name, plan)
            assert "Sort" not in plan, (name, plan)
            assert "Removed" not in plan, (name, plan)
