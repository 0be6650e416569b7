"""A catalogue of any size, and how long it takes to search and to list it."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from rich.table import Table
from sqlalchemy import URL, func, select

from benchmarks.beside import Operation, beside
from benchmarks.courses import connect
from elearning.cluster.embedded.processes import wait_until
from elearning.crud import CourseFilters, CourseOrder, course_facets, list_courses, search_courses
from elearning.crud.catalog.course_filters import NO_FILTERS
from elearning.ids import new_id
from elearning.models import CourseSearch
from elearning.regions import Region
from elearning.routing import Engines, Reader, ReadSession

COURSES = 100_000
ROUNDS = 5  # over all texts
PAGES = 100
SIZE = 20
MOST_WAIT = 600.0  # seconds for a replica to have all courses
CATEGORIES = 200
ROOTS = 20
WORDS = 8_000  # of a language
EACH = 50  # courses of an instructor
FREE = 0.2  # of courses
NEWEST = datetime(2025, 6, 1, tzinfo=UTC)

# Of ten courses so many are in each language; what a word is made of.
_LANGUAGES: Mapping[str, tuple[int, str, str]] = {
    "en": (3, "bcdfglmnprst", "aeiou"),
    "es": (1, "bcdfglmnprst", "aeioó"),
    "fr": (1, "bcdfglmnprst", "aeéiou"),
    "de": (1, "bdfghklmnprst", "aeiouü"),
    "pt-BR": (1, "bcdfglmnprst", "aeiouã"),
    "ru": (1, "бвдгклмнпрст", "аеиоуя"),
    "tr": (1, "bcçdğlmnprsş", "aeıioü"),  # noqa: RUF001 - a letter of Turkish
    "zh": (1, "", ""),
}
_CURRENCIES = ("EUR", "USD", "BRL")
_LEVELS = ("beginner", "beginner", "intermediate", "advanced")


class Vocabulary(NamedTuple):
    """The words of a language, the most common first, and how common they are."""

    language: str
    words: Sequence[str]
    weights: Sequence[float]
    """Added up."""

    def text(self, random: Random, length: int) -> str:
        """Return so many words, as common ones as in real texts."""
        return ("" if self.language == "zh" else " ").join(
            random.choices(self.words, cum_weights=self.weights, k=length)
        )


def vocabularies() -> list[Vocabulary]:
    """Return one of each language, the same each time."""
    random = Random(8)  # noqa: S311 - no secret
    # Zipf's law with Mandelbrot's shift: stop words, the most common of all, are not among them.
    weights = list(accumulate(1 / (rank + 10) for rank in range(WORDS)))
    return [
        Vocabulary(language, _words(random, *letters), weights)
        for language, (_, *letters) in _LANGUAGES.items()
    ]


def _words(random: Random, consonants: str, vowels: str) -> list[str]:
    if not consonants:
        return [chr(0x4E00 + number) for number in random.sample(range(20_000), WORDS)]
    found: dict[str, None] = {}
    while len(found) < WORDS:
        syllables = 2 + (len(found) > WORDS // 100) + (len(found) > WORDS // 8)
        found[
            "".join(random.choice(consonants) + random.choice(vowels) for _ in range(syllables))
        ] = None
    return list(found)


def category_ids(region: Region) -> list[UUID]:
    """Return the ids of the categories, the roots first; each time others."""
    return [new_id(region) for _ in range(CATEGORIES)]


def fill_courses(url: URL, number: int, *, region: Region = Region.EUROPE) -> list[UUID]:
    """Write published courses with their categories, and return the categories' ids.

    Eight languages; words as common as Zipf's law says; few courses with many reviews and people.
    The courses reach all shards by replication.

    Args:
        url: of the owner, on the primary of the region's shard.
        number: how many courses.
        region: where they are at home.
    """
    categories = category_ids(region)
    with connect(url) as owner, owner.transaction(), owner.cursor() as cursor:
        instructors = [new_id(region) for _ in range(-(-number // EACH))]
        with cursor.copy(
            "COPY users (id, region, email, first_name, last_name, user_type) FROM STDIN"
        ) as copy:
            for each in instructors:
                email = f"{each}@catalog.example"
                copy.write_row((each, region.value, email, "Ada", "Obi", "instructor"))
        with cursor.copy(
            "COPY course_categories (id, parent_id, category_name, slug) FROM STDIN"
        ) as copy:
            for place, each in enumerate(categories):
                parent = categories[place % ROOTS] if place >= ROOTS else None
                copy.write_row((each, parent, f"Category {each}", f"category-{each}"))
        with cursor.copy(
            "COPY courses (id, course_code, slug, title, description, instructor_id, category_id, "
            "level, price, currency, language, status, published_at, created_at) FROM STDIN"
        ) as copy:
            for row in _courses(region, number, instructors, categories):
                copy.write_row(row)
        owner.execute(
            "INSERT INTO course_statistics "
            "(course_id, region_code, enrollments, completions, rating_sum, total_ratings) "
            "SELECT id, %(code)s, 5 * votes, votes, floor(votes * (2.5 + 2.5 * quality)), votes "
            "FROM (SELECT id, random() AS quality, "
            "          floor(exp(8 * random() ^ 3))::integer - 1 AS votes "
            "      FROM courses WHERE instructor_id = ANY (%(ids)s)) AS course",
            {"code": region.code, "ids": instructors},
        )
    with connect(url) as owner:
        owner.execute("VACUUM ANALYZE courses, course_search, course_popularity, course_categories")
    return categories


def _courses(
    region: Region, number: int, instructors: Sequence[UUID], categories: Sequence[UUID]
) -> Iterator[tuple[Any, ...]]:
    random = Random(number)  # noqa: S311 - no secret
    known = vocabularies()
    shares = [
        known[place] for place, (share, *_) in enumerate(_LANGUAGES.values()) for _ in range(share)
    ]
    common = list(accumulate(1 / (rank + 1) for rank in range(len(categories))))
    shuffled = random.sample(categories, len(categories))
    for place in range(number):
        words = shares[place % len(shares)]
        course = new_id(region)
        moment = NEWEST - timedelta(minutes=7 * place)
        yield (
            course,
            f"C-{course}",
            f"course-{course}",
            words.text(random, random.randint(3, 8)),
            words.text(random, random.randint(20, 100)),
            instructors[place // EACH],
            shuffled[bisect(common, random.random() * common[-1])],
            random.choice(_LEVELS),
            0 if random.random() < FREE else 99 + 100 * random.randrange(200),
            random.choice(_CURRENCIES),
            words.language,
            "published",
            moment,
            moment,
        )


def searches(engines: Engines) -> Table:
    """Search and list 100,000 courses, on the replica nearby, and by the same SQL without us."""
    owner = engines.settings.shard("eu").owner_url
    replica = engines.replicas("eu")[0]
    with ReadSession(engines=engines, region=Region.EUROPE) as session:
        known = session.scalar(select(func.count()).select_from(CourseSearch)) or 0
    if known < COURSES:
        fill_courses(owner, COURSES)
    with connect(replica.engine.url) as raw:

        def is_there() -> bool:
            (found,) = raw.execute("SELECT count(*) FROM course_search").fetchone() or (0,)
            return bool(found >= COURSES)

        if not wait_until(is_there, MOST_WAIT):
            message = f"a replica lacks courses after {MOST_WAIT:g} s"
            raise TimeoutError(message)
        return beside(
            engines,
            raw,
            _operations(engines),
            title=f"{COURSES:,} courses, pages of {SIZE}",
            rounds=ROUNDS,
            turns=len(texts()),
        )


def texts() -> list[str]:
    """Return what is searched for: words from the most common to rare ones, alone and together."""
    words = vocabularies()[0].words
    ranks = (0, 3, 10, 30, 100, 300, 1_000, 3_000, 7_000)
    alone = [words[rank] for rank in ranks]
    pairs = [f"{words[rank]} {words[2 * rank + 1]}" for rank in ranks[:6]]
    return [*alone, *pairs, words[100][:4]]


def _operations(engines: Engines) -> Iterator[Operation]:
    wanted = texts()
    with ReadSession(engines=engines, region=Region.EUROPE) as session:
        last = [_cursor(session, text) for text in wanted]
        lists = {sort: _list_cursor(session, sort) for sort in CourseOrder}
    some = CourseFilters(level="beginner", currency="EUR", most_price=50)

    def page(session: Reader, turn: int) -> object:
        return search_courses(session, wanted[turn % len(wanted)], size=SIZE)

    def far_page(session: Reader, turn: int) -> object:
        place = turn % len(wanted)
        return search_courses(session, wanted[place], size=SIZE, after=last[place])

    yield Operation("search", page, "<= 30 ms")
    yield Operation(f"search, page {PAGES} or the last", far_page, "<= 36 ms")
    yield Operation(
        "search with filters",
        lambda session, turn: search_courses(
            session, wanted[turn % len(wanted)], filters=some, size=SIZE
        ),
        "<= 30 ms",
    )
    yield Operation(
        "facets",
        lambda session, turn: course_facets(session, wanted[turn % len(wanted)]),
        "<= 30 ms",
    )
    for sort in CourseOrder:
        yield Operation(f"list, {sort}", _lists(sort), "<= 10 ms")
        yield Operation(f"list, {sort}, page {PAGES}", _lists(sort, after=lists[sort]), "<= 12 ms")
        yield Operation(f"list, {sort}, with filters", _lists(sort, filters=some), "<= 10 ms")


def _lists(
    sort: CourseOrder, *, filters: CourseFilters = NO_FILTERS, after: str | None = None
) -> Callable[[Reader, int], object]:
    listing = list_courses(sort, filters=filters)
    return lambda session, _: listing.page(session, size=SIZE, after=after)


def _cursor(session: Reader, text: str) -> str | None:
    after = None
    for _ in range((PAGES - 1) * SIZE // 1000):
        after = search_courses(session, text, size=1000, after=after).next or after
    rest = (PAGES - 1) * SIZE % 1000
    return search_courses(session, text, size=rest, after=after).next or after


def _list_cursor(session: Reader, sort: CourseOrder) -> str | None:
    after = None
    for size in (1000, (PAGES - 1) * SIZE - 1000):
        after = list_courses(sort).page(session, size=size, after=after).next
    return after
