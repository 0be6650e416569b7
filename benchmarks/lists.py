"""Lists of people and of what they take, where there are a million of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

from rich.table import Table

from benchmarks.beside import Operation, beside
from benchmarks.courses import connect
from elearning.crud import (
    Listing,
    list_course_enrollments,
    list_enrollments,
    list_instructor_courses,
    list_users,
)
from elearning.regions import Region
from elearning.routing import Engines, Reader, ReadSession

ROUNDS = 60
PAGES = 100
SIZE = 20


def lists(engines: Engines) -> Table:
    """Read first and hundredth pages, of what `figures.generate` has made."""
    with connect(engines.replicas("eu")[0].engine.url) as raw:
        found = raw.execute(
            "SELECT course_id, (array_agg(user_id))[1] FROM enrollments "
            "GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
        ).fetchone()
        # Enrollments are of this shard's people, and courses of all.
        teacher = raw.execute(
            "SELECT instructor_id FROM courses GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
        ).fetchone()
        assert found is not None
        assert teacher is not None
        return beside(
            engines,
            raw,
            _operations(engines, *found, *teacher),
            title=f"lists, pages of {SIZE} (the last one where there are no {PAGES})",
            rounds=ROUNDS,
        )


def _operations(
    engines: Engines, course_id: UUID, user_id: UUID, instructor_id: UUID
) -> Iterator[Operation]:
    # Asked for anew each time, as a request does.
    listings: dict[str, Callable[[], Listing[Any]]] = {
        "accounts, newest": list_users,
        "accounts, students by name": partial(list_users, user_type="student", order="name"),
        "accounts, a search by name": partial(list_users, search="f"),
        "enrollments of a course": partial(list_course_enrollments, course_id),
        "courses of a user": partial(list_enrollments, user_id),
        "courses of an instructor": partial(list_instructor_courses, instructor_id),
    }
    for name, listing in listings.items():
        with ReadSession(engines=engines, region=Region.EUROPE) as session:
            after = _cursor(session, listing())
        yield Operation(name, _page(listing), "<= 10 ms")
        if after is not None:
            yield Operation(f"{name}, page {PAGES}", _page(listing, after), "<= 12 ms")


def _page(
    listing: Callable[[], Listing[Any]], after: str | None = None
) -> Callable[[Reader, int], object]:
    return lambda session, _: listing().page(session, size=SIZE, after=after)


def _cursor(session: Reader, listing: Listing[Any]) -> str | None:
    after = None
    for size in (1000, (PAGES - 1) * SIZE - 1000):
        after = listing.page(session, size=size, after=after).next or after
    return after
