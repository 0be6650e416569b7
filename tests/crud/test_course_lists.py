"""Published courses in order: popular, new, well rated; page by page, from the replica nearby."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, text

from elearning.crud import (
    CourseFilters,
    CourseOrder,
    best_rated_courses,
    list_courses,
    newest_courses,
    popular_courses,
)
from elearning.errors import InvalidPage, InvalidText
from elearning.models import CourseStatus
from elearning.regions import Region
from elearning.routing import Engines, ReadSession, RoutingSession
from elearning.testing.factories import CourseCategoryFactory, bound
from tests.crud.catalog import count, make_course, shelve
from tests.served import served

START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def shelf(engines: Engines, session: RoutingSession) -> RoutingSession:
    """Make five courses, and count for three of them."""
    ids = {}
    for day, name in enumerate("abcde"):
        values: dict[str, Any] = {"published_at": START + timedelta(days=day)}
        values["language"] = "de" if name in "ace" else "en"
        ids[name] = make_course(session, name, **values).id
    make_course(session, "draft", status=CourseStatus.DRAFT, published_at=None)
    session.commit()
    # One vote of 5, many of 4.6, and many of 1.
    count(engines, ids["a"], enrollments=1, rating_sum=5, total_ratings=1)
    count(engines, ids["b"], enrollments=500, rating_sum=460, total_ratings=100)
    count(engines, ids["c"], enrollments=90, rating_sum=80, total_ratings=80)
    session.connection()
    return session


ORDERS = {"popular": "bcaed", "newest": "edcba", "best_rated": "baedc"}


@pytest.mark.parametrize("sort", CourseOrder)
def test_orders(shelf: RoutingSession, sort: CourseOrder) -> None:
    page = list_courses(sort).page(shelf)
    assert "".join(course.title for course in page.items) == ORDERS[sort]
    assert page.next is None


@pytest.mark.parametrize("sort", CourseOrder)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages(shelf: RoutingSession, sort: CourseOrder, size: int) -> None:
    found, after = "", None
    for _ in range(9):
        page = list_courses(sort).page(shelf, size=size, after=after)
        assert len(page.items) <= size
        found += "".join(course.title for course in page.items)
        after = page.next
        if after is None:
            break
    assert found == ORDERS[sort]


@pytest.mark.parametrize("sort", CourseOrder)
def test_filters(shelf: RoutingSession, sort: CourseOrder) -> None:
    page = list_courses(sort, filters=CourseFilters(language="de")).page(shelf)
    expected = [name for name in ORDERS[sort] if name in "ace"]
    assert [course.title for course in page.items] == expected
    rated = list_courses(sort, filters=CourseFilters(least_rating=4)).page(shelf)
    assert {course.title for course in rated.items} == {"a", "b"}
    with bound(shelf):
        root = CourseCategoryFactory.create()
        branch = CourseCategoryFactory.create(parent=root)
    make_course(shelf, "f", category=branch)
    below = list_courses(sort, filters=CourseFilters(category_id=root.id)).page(shelf)
    assert [course.title for course in below.items] == ["f"]


@pytest.mark.parametrize("sort", ["", "rating; DROP TABLE", "POPULAR", None, 3])
def test_unknown_orders(sort: Any) -> None:
    with pytest.raises(InvalidText, match="popular, newest, best_rated"):
        list_courses(sort)


def test_a_cursor_is_of_its_order(shelf: RoutingSession) -> None:
    after = newest_courses().page(shelf, size=1).next
    with pytest.raises(InvalidPage):
        popular_courses().page(shelf, after=after)
    with pytest.raises(InvalidPage):
        best_rated_courses().page(shelf, after=after)


@pytest.mark.parametrize("sort", CourseOrder)
@pytest.mark.parametrize("later", [False, True])
def test_an_index_gives_the_order(shelf: RoutingSession, sort: CourseOrder, later: bool) -> None:
    indexes = {
        "popular": "idx_course_popularity_enrollments",
        "newest": "idx_courses_published_at",
        "best_rated": "idx_courses_weighted_rating",
    }
    listing = list_courses(sort)
    after = listing.page(shelf, size=2).next if later else None
    seen: list[str] = []
    connection = shelf.connection()
    # Five rows are sorted sooner than an index is read.
    connection.execute(text("SET LOCAL enable_sort = off"))
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    connection.execute(text("SET LOCAL enable_bitmapscan = off"))

    def explain(_c: object, cursor: Any, sql: str, values: Any, _x: object, _m: object) -> None:
        if not sql.startswith("EXPLAIN"):
            rows = connection.connection.cursor().execute(f"EXPLAIN {sql}", values).fetchall()
            seen.extend(row[0] for row in rows)

    event.listen(connection, "before_cursor_execute", explain)
    listing.page(shelf, size=2, after=after)
    event.remove(connection, "before_cursor_execute", explain)
    plan = "\n".join(seen)
    assert f"Index Scan Backward using {indexes[sort]}" in plan or (
        f"Index Only Scan Backward using {indexes[sort]}" in plan
    )
    assert "Sort" not in plan
    # What was on the page before is not read again.
    assert bool(re.search(r"Index Cond: .*ROW\(", plan)) is later


def test_lists_of_all_regions_are_read_from_the_replica_in_each(
    engines: Engines, empty_databases: None
) -> None:
    for region in Region:
        shelve(engines, region, lambda session: make_course(session, f"Of {session.region}"))
    for region in Region:
        with ReadSession(engines=engines, region=region) as session, served(engines) as nodes:
            for sort in CourseOrder:
                items = list_courses(sort).page(session).items
                assert {course.title for course in items} == {f"Of {each}" for each in Region}
            assert nodes == [f"{engines.home(region)}-replica-1"] * len(CourseOrder)


def test_newest_and_best_rated_are_merged_from_all_shards(
    engines: Engines, empty_databases: None
) -> None:
    for day, region in enumerate(Region):
        moment = START + timedelta(days=day)
        shelve(engines, region, partial(make_course, title="x", published_at=moment))
    for listing in (newest_courses(), best_rated_courses()):
        assert len(listing.everywhere(engines).items) == len(Region)
    found = [course.published_at for course in newest_courses().everywhere(engines).items]
    assert found == [START + timedelta(days=day) for day in reversed(range(len(Region)))]
