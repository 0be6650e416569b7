"""Courses are found by their words, filtered, counted and paged, on the replica nearby."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from elearning.crud import CourseFilters, CourseHit, course_facets, search_courses
from elearning.crud.catalog import course_search
from elearning.crud.catalog.course_filters import NO_FILTERS
from elearning.errors import InvalidAmount, InvalidPage, InvalidText, UnknownCurrency
from elearning.ids import new_id
from elearning.models import Course, CourseLevel, CoursePopularity, CourseSearch, CourseStatus
from elearning.regions import Region
from elearning.routing import Engines, ReadSession, RoutingSession
from elearning.routing.fanout.cursor import write_cursor
from elearning.testing.factories import CourseCategoryFactory, bound
from tests.crud.catalog import count, make_course, shelve
from tests.served import served


def titles(session: RoutingSession, text: str, **options: Any) -> list[str]:
    return [hit.course.title for hit in search_courses(session, text, **options).items]


def test_title_comes_before_description_and_short_titles_before_long_ones(
    session: RoutingSession,
) -> None:
    make_course(session, "Cooking", description="python " * 30)
    make_course(session, "All that can be done with Python today")
    make_course(session, "Python")
    make_course(session, "Snakes")
    found = search_courses(session, "Python").items
    assert [hit.course.title for hit in found] == [
        "Python",
        "All that can be done with Python today",
        "Cooking",
    ]
    assert [hit.rank >= 1_000_000 for hit in found] == [True, True, False]


def test_all_words_must_match_and_the_newest_of_equals_comes_first(session: RoutingSession) -> None:
    for title in ("Sailing boats", "Sailing knots", "Knots for sailing"):
        make_course(session, title)
    assert set(titles(session, "sailing knot")) == {"Knots for sailing", "Sailing knots"}
    make_course(session, "Sailing knots")
    hits = search_courses(session, "sailing knots").items
    same = [hit.course.id for hit in hits if hit.course.title == "Sailing knots"]
    assert same == sorted(same, reverse=True)


def test_only_published_courses_are_found(session: RoutingSession) -> None:
    make_course(session, "Knots", status=CourseStatus.DRAFT, published_at=None)
    course = make_course(session, "Knots")
    assert [hit.course.id for hit in search_courses(session, "knots").items] == [course.id]


def test_the_last_word_may_be_the_beginning_of_one(session: RoutingSession) -> None:
    make_course(session, "Programming in Rust")
    assert titles(session, "programm") == ["Programming in Rust"]
    assert titles(session, "rust pro") == ["Programming in Rust"]
    assert titles(session, "pro rust") == []
    assert titles(session, "p") == []  # one letter begins too much


@pytest.mark.parametrize("word", ["pyhton", "pythn", "pytthon", "pithon", "Pythan"])
def test_a_word_that_no_course_has_may_be_misspelt(session: RoutingSession, word: str) -> None:
    make_course(session, "Python for beginners")
    make_course(session, "Ruby for beginners")
    found = search_courses(session, f"beginner {word}").items
    assert [hit.course.title for hit in found] == ["Python for beginners"]
    assert found[0].rank < 0
    assert course_facets(session, f"{word} beginner").total == 1
    assert titles(session, f"the {word}") == ["Python for beginners"]


def test_a_word_that_a_course_has_is_not_misspelt(session: RoutingSession) -> None:
    make_course(session, "Lion taming")
    make_course(session, "Loin cooking")
    assert titles(session, "lion") == ["Lion taming"]
    assert titles(session, "lion cooking") == []
    assert titles(session, "xyzzy") == []
    assert course_facets(session, "xyzzy").total == 0


@pytest.fixture
def shelf(engines: Engines, session: RoutingSession) -> dict[str, Any]:
    """Make five courses about knots that differ in all that can be filtered."""
    with bound(session):
        root = CourseCategoryFactory.create()
        branch = CourseCategoryFactory.create(parent=root)
        other = CourseCategoryFactory.create()
    made: dict[str, dict[str, Any]] = {
        "a": {"category": root, "level": "beginner", "language": "en", "price_minor": 0},
        "b": {"category": branch, "level": "beginner", "language": "en-GB", "price_minor": 1_000},
        "c": {"category": branch, "level": "advanced", "language": "de", "price_minor": 2_000},
        "d": {"category": other, "level": "advanced", "language": "pt-BR", "price_minor": 2_000},
        "e": {"category": None, "currency": "USD", "language": "en", "price_minor": 9_000},
    }
    for name, values in made.items():
        make_course(session, f"Knots {name}", **values)
    ids = {course.title[-1]: course.id for course in session.scalars(select(Course))}
    shown = {"root": root.id, "branch": branch.id, "other": other.id}
    session.commit()
    for name, (total, number) in {"a": (10, 2), "b": (9, 2), "c": (3, 1)}.items():
        count(engines, ids[name], rating_sum=total, total_ratings=number)
    session.connection()  # of the primary, which has it all
    return shown


def test_filters(session: RoutingSession, shelf: dict[str, Any]) -> None:
    def found(**filters: Any) -> str:
        names = titles(session, "knots", filters=CourseFilters(**filters))
        return "".join(sorted(name[-1] for name in names))

    assert found() == "abcde"
    assert found(category_id=shelf["root"]) == "abc"
    assert found(category_id=shelf["branch"]) == "bc"
    assert found(category_id=new_id("europe")) == ""
    assert found(level="advanced") == "cd"
    assert found(language="en") == "abe"
    assert found(language="en-GB") == "b"
    assert found(language="pt") == "d"
    assert found(currency="USD") == "e"
    assert found(currency="EUR", least_price=10, most_price="10.00") == "b"
    assert found(currency="EUR", most_price=Decimal("19.99")) == "ab"
    assert found(free=True) == "a"
    assert found(free=False) == "bcde"
    assert found(least_rating=3) == "abc"
    assert found(least_rating="4.5") == "ab"
    assert found(least_rating=5) == "a"
    assert found(category_id=shelf["root"], language="en", free=False) == "b"


def test_facets(session: RoutingSession, shelf: dict[str, Any]) -> None:
    found = course_facets(session, "knots")
    assert found.total == 5
    assert found.categories == {
        shelf["root"]: 1,
        shelf["branch"]: 2,
        shelf["other"]: 1,
        None: 1,
    }
    assert found.levels == {CourseLevel.BEGINNER: 3, CourseLevel.ADVANCED: 2}
    assert found.languages == {"en": 2, "en-GB": 1, "de": 1, "pt-BR": 1}
    assert (found.free, found.paid) == (1, 4)
    assert found.ratings == {5: 1, 4: 1, 3: 1, None: 2}


def test_each_facet_is_counted_without_its_own_filter(
    session: RoutingSession, shelf: dict[str, Any]
) -> None:
    filters = CourseFilters(level="beginner", free=False, currency="EUR", least_rating=4)
    found = course_facets(session, "knots", filters=filters)
    assert found.total == 1  # b
    assert found.levels == {CourseLevel.BEGINNER: 1}
    assert (found.free, found.paid) == (1, 1)  # a and b
    assert found.ratings == {4: 1}
    only = course_facets(session, "knots", filters=CourseFilters(level="advanced"))
    assert only.levels == {CourseLevel.BEGINNER: 3, CourseLevel.ADVANCED: 2}
    assert only.languages == {"de": 1, "pt-BR": 1}
    assert only.categories == {shelf["branch"]: 1, shelf["other"]: 1}
    rated = course_facets(session, "knots", filters=CourseFilters(least_rating=5))
    assert (rated.total, rated.ratings) == (1, {5: 1, 4: 1, 3: 1, None: 2})


def all_pages(session: RoutingSession, text: str, size: int) -> list[Sequence[CourseHit]]:
    pages, after = [], None
    while True:
        page = search_courses(session, text, size=size, after=after)
        pages.append(page.items)
        after = page.next
        if after is None:
            return pages


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_pages(session: RoutingSession, size: int) -> None:
    for number in range(4):
        make_course(session, f"Knots {'of all kinds ' * number}")
        make_course(session, f"Boats {number}", description="knots " * number)
    pages = all_pages(session, "knots", size)
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    ids = [hit.course.id for page in pages for hit in page]
    assert len(ids) == len(set(ids)) == 7
    ranks = [(hit.rank, hit.course.id) for page in pages for hit in page]
    assert ranks == sorted(ranks, reverse=True)


def test_pages_of_misspelt_words(session: RoutingSession) -> None:
    for _ in range(5):
        make_course(session, "Python")
    pages = all_pages(session, "pyhton", 2)
    assert [len(page) for page in pages] == [2, 2, 1]


@pytest.mark.parametrize("before", [2, 20])
@pytest.mark.parametrize("after", [2, 20])
def test_of_too_many_descriptions_the_newest_come_first(
    session: RoutingSession, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    """A page goes on in the order of the one before, however many have come or gone since."""
    in_title = make_course(session, "Knots").id
    ids = [
        make_course(session, f"Boats {number}", description="knots " * (1 + number % 3)).id
        for number in range(9)
    ]
    monkeypatch.setattr(course_search, "_MOST_RANKED", before)
    page = search_courses(session, "knots", size=4)
    found = list(page.items)
    monkeypatch.setattr(course_search, "_MOST_RANKED", after)
    while page.next is not None:
        page = search_courses(session, "knots", size=3, after=page.next)
        found += page.items
    first, *others = found
    assert first.course.id == in_title
    assert {hit.course.id for hit in others} == set(ids)
    assert len(others) == len(ids)
    if before == 2:
        assert [hit.rank for hit in others] == [0] * len(ids)
        assert [hit.course.id for hit in others] == ids[::-1]
    else:
        ranks = [hit.rank for hit in others]
        assert ranks == sorted(ranks, reverse=True)
        assert ranks[0] > ranks[-1] > 0


@pytest.mark.parametrize("values", [(None, UUID(int=0)), (5, None)])
def test_a_forged_cursor(session: RoutingSession, values: tuple[Any, Any]) -> None:
    make_course(session, "Knots")
    after = write_cursor(course_search._KEYS, values, f"search 'knots' {NO_FILTERS!r}".encode())
    with pytest.raises(InvalidPage):
        search_courses(session, "knots", after=after)


def test_a_cursor_is_of_its_search(session: RoutingSession) -> None:
    for _ in range(3):
        make_course(session, "Python knots")
    after = search_courses(session, "python", size=1).next
    with pytest.raises(InvalidPage):
        search_courses(session, "knots", after=after)
    with pytest.raises(InvalidPage):
        search_courses(session, "python", after=after, filters=CourseFilters(language="en"))
    with pytest.raises(InvalidPage):
        search_courses(session, "python", after="tampered")


@pytest.mark.parametrize("size", [0, -1, 1001, True, "5", 2.0])
def test_sizes(session: RoutingSession, size: Any) -> None:
    with pytest.raises(InvalidText):
        search_courses(session, "knots", size=size)


@pytest.mark.parametrize(
    ("filters", "error"),
    [
        ({"level": "expert"}, InvalidText),
        ({"language": "no tag!"}, InvalidText),
        ({"currency": "XXX"}, UnknownCurrency),
        ({"least_price": 5}, InvalidText),
        ({"least_price": 0.1, "currency": "EUR"}, InvalidAmount),
        ({"most_price": -1, "currency": "EUR"}, InvalidAmount),
        ({"free": "yes"}, InvalidText),
        ({"least_rating": 0}, InvalidText),
        ({"least_rating": "NaN"}, InvalidText),
        ({"least_rating": "many"}, InvalidText),
        ({"category_id": "1"}, InvalidText),
    ],
)
def test_filters_that_cannot_be_right(filters: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        CourseFilters(**filters)


def test_courses_of_all_regions_are_found_from_all_regions_on_the_replica_there(
    engines: Engines, empty_databases: None
) -> None:
    for region in Region:
        shelve(engines, region, lambda session: make_course(session, f"Knots {session.region}"))
    for region in Region:
        with (
            ReadSession(engines=engines, region=region) as session,
            served(engines) as nodes,
        ):
            found = search_courses(session, "knot")
            assert {hit.course.title for hit in found.items} == {f"Knots {each}" for each in Region}
            # The query, titles, and, for the page is not full, how many descriptions, and which.
            assert nodes == [f"{engines.home(region)}-replica-1"] * 4
            nodes.clear()
            assert len(search_courses(session, "knot", size=2).items) == 2
            assert course_facets(session, "knots").total == len(Region)
            assert nodes == [f"{engines.home(region)}-replica-1"] * 4
            nodes.clear()
            search_courses(session, "knost")
            assert nodes == [f"{engines.home(region)}-replica-1"] * 6


def test_what_each_shard_fills_for_itself_is_as_near_as_a_copy(engines: Engines) -> None:
    one = Course.id == new_id("europe")
    searched = select(CourseSearch.rating).join(Course, Course.id == CourseSearch.course_id)
    popular = select(CoursePopularity).join(Course, Course.id == CoursePopularity.course_id)
    with RoutingSession(engines=engines, region="asia") as session:
        for statement in (searched, popular):
            told = session.explain_route(statement.where(one))
            assert told.startswith("shard asia (a copy in the session's region asia), replica")
