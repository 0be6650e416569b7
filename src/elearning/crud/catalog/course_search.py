"""Published courses, found by the words of their titles and descriptions; see docs/search.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    Select,
    String,
    Subquery,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    not_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from elearning.crud.catalog.course_filters import NO_FILTERS, CourseFilters
from elearning.crud.listing import ItemPage
from elearning.errors import InvalidPage, InvalidText
from elearning.models import Course, CourseLevel, CourseSearch
from elearning.routing import Reader
from elearning.routing.fanout.cursor import read_cursor, write_cursor
from elearning.routing.fanout.kinds import Kind
from elearning.routing.fanout.order import OrderKey
from elearning.text import checked_text

__all__ = ["CourseFacets", "CourseHit", "course_facets", "search_courses"]

MOST_CHARACTERS = 200
MOST_WORDS = 10
_MOST_ROWS = 1000
_MOST_RANKED = 1000
"""Where more courses have the words, those without them in the title come by their age."""
_IN_TITLE = 1_000_000
"""What titles with all words rank at least, and nothing else does."""
_MISSPELT = -2_000_000
"""What titles with another word in place of a misspelt one rank at least, always below zero."""
_TITLE_SHARES = [0.0, 0.0, 0.0, 1.0]
_SHARES = [0.0, 0.0, 0.1, 1.0]
"""How much places of the weights D, C, B and A count for."""
_BY_LENGTH = 2  # ts_rank_cd divides by the number of words


@dataclass(frozen=True, slots=True)
class CourseHit:
    """A course that was found.

    Attributes:
        course: the course.
        rank: the higher, the better; from 1,000,000 on all words are in the title, and below
            zero one of them was misspelt.
    """

    course: Course
    rank: int


@dataclass(frozen=True, slots=True)
class CourseFacets:
    """How many courses there are of each kind, each under all filters but its own.

    Attributes:
        total: under all filters.
        categories: by the category that the course itself is in; None: in none.
        levels: by level.
        languages: by tag.
        free: that cost nothing; its own filters are those of the price.
        paid: that cost something.
        ratings: by the whole stars of the mean, 1 to 5; None: nobody has rated them.
    """

    total: int
    categories: Mapping[UUID | None, int]
    levels: Mapping[CourseLevel, int]
    languages: Mapping[str, int]
    free: int
    paid: int
    ratings: Mapping[int | None, int]


class _Wanted(NamedTuple):
    """What courses have to match."""

    words: str | None
    stems: str | None
    misspelt: str | None

    def matching(self, vector: Any) -> list[ColumnElement[bool]]:
        found = [] if self.words is None else [_match(vector, self.words)]
        if self.misspelt is not None:
            found.append(_match(CourseSearch.misspelt, self.misspelt))
        return found


_KEYS = (
    OrderKey(column("rank", Integer), Kind.INTEGER, descending=True, nulls_first=True),
    OrderKey(column("course_id"), Kind.UUID, descending=True, nulls_first=True),
)


def search_courses(
    session: Reader,
    text: str,
    *,
    filters: CourseFilters = NO_FILTERS,
    size: int = 20,
    after: str | None = None,
) -> ItemPage[CourseHit]:
    """Return a page of the courses that have all words of a text.

    In four statements at most, and in four more where nothing is found as it is written.

    Each course is searched by the rules of its own language, and the last word may be the
    beginning of one. A word that no course has finds titles with a word that differs in one
    letter. Those with all words in the title come first, then by how close together and how often
    they are (where more than 1,000 have them, in the title only), then the newest. It is read from
    the copies in the session's region.

    Args:
        session: any session.
        text: 1 to 200 characters, at most 10 words; none of them has a meaning of its own.
        filters: which courses are wanted.
        size: how many hits at most, 1 to 1000.
        after: what the page before gave as `next`; None: the first page.

    Raises:
        InvalidText: the text has no word or too many, or the size is wrong.
        InvalidPage: the cursor is damaged, or of another search.
    """
    if type(size) is not int or not 1 <= size <= _MOST_ROWS:
        raise InvalidText(field="size", problem=f"{size!r} is no number from 1 to {_MOST_ROWS}")
    asked = checked_text("text", text, most=MOST_CHARACTERS)
    name = f"search {asked!r} {filters!r}".encode()
    bound = None if after is None else read_cursor(_KEYS, after, name)
    if bound is not None and None in bound:
        raise InvalidPage(problem="holds other values than the order")
    rows: list[Any] = []
    for near in (False, True):
        # The page before tells whether words were misspelt.
        if not rows and (bound is None or near is (bound[0] < 0)):
            wanted = _wanted(session, asked, near=near)
            for ranked in _ranked(session, wanted, filters, bound, near=near):
                rows += session.execute(_page(ranked, size + 1 - len(rows))).all()
                if len(rows) > size:
                    break
    hits = [CourseHit(row[0], row[1]) for row in rows[:size]]
    if len(rows) <= size:
        return ItemPage(hits, None)
    return ItemPage(hits, write_cursor(_KEYS, (hits[-1].rank, hits[-1].course.id), name))


def course_facets(
    session: Reader, text: str, *, filters: CourseFilters = NO_FILTERS
) -> CourseFacets:
    """Count what `search_courses` finds, by kind, in four statements at most.

    Args:
        session: any session.
        text: see `search_courses`.
        filters: those of the search.

    Raises:
        InvalidText: the text has no word or too many.
    """
    asked = checked_text("text", text, most=MOST_CHARACTERS)
    conditions = filters.conditions(CourseSearch)
    rows = session.execute(_counts(_wanted(session, asked, near=False), conditions)).all()
    found = _facets(rows)
    if not found.total:
        wanted = _wanted(session, asked, near=True)
        if wanted.misspelt is not None:
            found = _facets(session.execute(_counts(wanted, conditions)).all())
    return found


def _wanted(session: Reader, text: str, *, near: bool) -> _Wanted:
    columns = ("number", "words", "stems", "misspelt")
    query = func.search_query(text, MOST_WORDS, near).table_valued(*columns)
    row = session.execute(select(*(query.c[each] for each in columns))).one()
    if not row.number:
        raise InvalidText(field="text", problem="has no word that could be searched for")
    if row.number > MOST_WORDS:
        raise InvalidText(
            field="text", problem=f"has {row.number} words, expected {MOST_WORDS} at most"
        )
    return _Wanted(row.words, row.stems, row.misspelt)


def _match(vector: Any, query: str) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = vector.bool_op("@@")(_tsquery(query))
    return condition


def _tsquery(query: str) -> ColumnElement[str]:
    # In the SQL itself: how common the words are decides which index is good.
    return cast(literal(query, String, literal_execute=True), TSQUERY)


def _ranked(
    session: Reader,
    wanted: _Wanted,
    filters: CourseFilters,
    bound: Sequence[Any] | None,
    *,
    near: bool,
) -> Iterator[Select[UUID, int]]:
    """Yield the courses with their ranks: those with all words in the title, then the others.

    Common words are in so many titles that the others are hardly ever looked at.
    """
    if near and wanted.misspelt is None:
        return  # all words are known, and no course has all of them
    conditions = list(filters.conditions(CourseSearch).values())
    least = _MISSPELT if near else 0
    if bound is None or bound[0] >= least + _IN_TITLE:
        score = least + _IN_TITLE + _by_title(wanted)
        yield _after(score, bound, [*wanted.matching(CourseSearch.title), *conditions])
    if wanted.words is None:
        return
    conditions += [
        *wanted.matching(CourseSearch.document),
        not_(_match(CourseSearch.title, wanted.words)),
    ]
    if bound is None or bound[0] >= least + _IN_TITLE:
        ranked = wanted.stems is not None and _are_few(session, wanted)
    else:
        ranked = bound[0] > least  # as the page before
    yield _after(least + (_by_document(wanted) if ranked else 0), bound, conditions)


def _are_few(session: Reader, wanted: _Wanted) -> bool:
    """Tell whether so few courses have the words that all of them can be ranked."""
    words, misspelt = (
        None if each is None else _tsquery(each) for each in (wanted.words, wanted.misspelt)
    )
    number: int = session.execute(
        select(func.search_number(words, misspelt, _MOST_RANKED + 1))
    ).scalar_one()
    return number <= _MOST_RANKED


# Ranks are whole numbers below a million, for floating point numbers cannot mark a page.


def _by_title(wanted: _Wanted) -> ColumnElement[int]:
    if wanted.stems is None:
        return literal(0, Integer)
    shares = literal(_TITLE_SHARES, ARRAY(REAL))
    stems = _tsquery(wanted.stems)
    return _whole(func.ts_rank_cd(shares, CourseSearch.title, stems, _BY_LENGTH, type_=Float))


def _by_document(wanted: _Wanted) -> ColumnElement[int]:
    """Return ranks from 1 on: 0 is that of courses that are too many to be ranked."""
    # ts_rank_cd takes several times as long.
    shares = literal(_SHARES, ARRAY(REAL))
    rank = func.ts_rank(shares, CourseSearch.document, _tsquery(wanted.stems or ""), type_=Float)
    return func.greatest(_whole(rank), 1, type_=Integer)


def _whole(rank: ColumnElement[float]) -> ColumnElement[int]:
    return cast(func.least(rank * 100_000, _IN_TITLE - 1), Integer)


def _after(
    score: ColumnElement[int] | int,
    bound: Sequence[Any] | None,
    conditions: Sequence[ColumnElement[bool]],
) -> Select[UUID, int]:
    """Return the courses with their score, after a bound; those of one score by their age."""
    course_id = CourseSearch.course_id
    if isinstance(score, int):
        found = select(course_id, literal(score, Integer).label("rank")).where(*conditions)
        if bound is not None and bound[0] <= score:
            found = found.where(course_id < bound[1])
        return found.order_by(course_id.desc())
    found = select(course_id, score.label("rank")).where(*conditions)
    if bound is not None:
        last = tuple_(literal(bound[0], BigInteger), literal(bound[1], Course.id.type))
        found = found.where(tuple_(score, course_id) < last)
    return found.order_by(score.desc(), course_id.desc())


def _page(ranked: Select[UUID, int], number: int) -> Select[Any]:
    """Return the courses of a page; only those are looked up."""
    page: Subquery = ranked.limit(number).subquery("page")
    return (
        select(Course, page.c.rank)
        .join(page, page.c.course_id == Course.id)
        .order_by(page.c.rank.desc(), Course.id.desc())
    )


def _counts(wanted: _Wanted, filters: Mapping[str, ColumnElement[bool]]) -> Select[Any]:
    """Return the counts of all facets, from one look at each course."""
    vector = CourseSearch.title if wanted.words is None else CourseSearch.document
    kinds = {
        "category": CourseSearch.category_id,
        "level": CourseSearch.level,
        "language": CourseSearch.language,
        "price": CourseSearch.price_minor > 0,
        "rating": cast(func.floor(CourseSearch.rating), Integer),
    }
    # A filter without a facet holds for all; one of NULL lets nothing through.
    common = [condition for name, condition in filters.items() if name not in kinds]
    own = {
        name: func.coalesce(condition, False).label(f"fits_{name}")
        for name, condition in filters.items()
        if name in kinds
    }
    found = (
        select(*(kind.label(name) for name, kind in kinds.items()), *own.values())
        .where(*wanted.matching(vector), *common)
        .subquery("found")
    )

    def number(but: str | None) -> ColumnElement[int]:
        fits = [found.c[f"fits_{name}"] for name in own if name != but]
        return func.count().filter(and_(*fits)) if fits else func.count()

    columns = [found.c[name] for name in kinds]
    level = func.grouping(*columns, type_=Integer)
    # GROUPING has a bit for each column that a row is not grouped by, the first one the highest.
    whole = 2 ** len(kinds) - 1
    sets = {whole - 2 ** (len(kinds) - place): name for place, name in enumerate(kinds, start=1)}
    ways = [(level == code, number(name)) for code, name in sets.items() if name in own]
    counted = case(*ways, else_=number(None)) if ways else number(None)
    return select(
        case(*((level == code, literal(name)) for code, name in sets.items()), else_="total").label(
            "kind"
        ),
        *columns,
        counted.label("number"),
    ).group_by(func.grouping_sets(*(tuple_(each) for each in columns), tuple_()))


def _facets(rows: Sequence[Any]) -> CourseFacets:
    found: dict[str, dict[Any, int]] = {
        kind: {getattr(row, kind): row.number for row in rows if row.kind == kind and row.number}
        for kind in ("category", "level", "language", "price", "rating")
    }
    return CourseFacets(
        total=sum(row.number for row in rows if row.kind == "total"),
        categories=found["category"],
        levels={CourseLevel(level): number for level, number in found["level"].items()},
        languages=found["language"],
        free=found["price"].get(False, 0),
        paid=found["price"].get(True, 0),
        ratings=found["rating"],
    )
