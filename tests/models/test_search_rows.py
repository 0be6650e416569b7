"""What courses are found by and sorted by follows them, whoever writes them."""

from __future__ import annotations

import random
import string
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text, update

from elearning.crud import enroll_user
from elearning.models import Course, CoursePopularity, CourseSearch, CourseStatus, Enrollment
from elearning.routing import RoutingSession
from elearning.testing.factories import CourseFactory, UserFactory, bound


def make(session: RoutingSession, **values: Any) -> UUID:
    with bound(session):
        return CourseFactory.create(**values).id


def finds(session: RoutingSession, course_id: UUID, query: str, language: str = "english") -> bool:
    """Tell whether a course is found by a query in a language."""
    found = text(
        "SELECT count(*) FROM course_search "
        "WHERE course_id = :id AND document @@ to_tsquery(CAST(:language AS regconfig), :query)"
    )
    values = {"id": course_id, "language": language, "query": query}
    return bool(session.execute(found, values).scalar_one())


def indexed(session: RoutingSession) -> set[UUID]:
    return set(session.scalars(select(CourseSearch.course_id)))


def popular(session: RoutingSession) -> list[tuple[UUID, int, int]]:
    p = CoursePopularity
    found = session.execute(select(p.course_id, p.enrollments, p.completions))
    return [(course_id, taken, done) for course_id, taken, done in found]


def test_keep_course_search_of_published_courses(session: RoutingSession) -> None:
    draft = make(session, status=CourseStatus.DRAFT, published_at=None)
    course = make(session, title="Sailing knots")
    assert indexed(session) == {course}
    # Popularity begins with the course, in whatever state it is.
    assert sorted(popular(session)) == sorted([(draft, 0, 0), (course, 0, 0)])

    def becomes(course_id: UUID, **values: Any) -> set[UUID]:
        session.execute(update(Course).where(Course.id == course_id).values(values))
        return indexed(session)

    published = {"status": CourseStatus.PUBLISHED, "published_at": text("now()")}
    assert becomes(draft, **published) == {draft, course}
    archived = {"status": CourseStatus.ARCHIVED, "archived_at": text("now()")}
    assert becomes(course, **archived) == {draft}
    assert becomes(course, status=CourseStatus.PUBLISHED, archived_at=None) == {draft, course}


def test_keep_course_search_in_the_language_of_the_course(session: RoutingSession) -> None:
    course = make(session, title="Häuser bauen", description="Für Anfängerinnen", language="de-AT")
    assert finds(session, course, "haus", "german")
    assert finds(session, course, "haus:A", "german")
    assert finds(session, course, "anfängerin:B", "german")
    assert not finds(session, course, "anfängerin:A", "german")
    session.execute(update(Course).where(Course.id == course).values(language="tlh"))
    # A language that PostgreSQL does not know: its words are found as they are.
    assert finds(session, course, "hauser", "simple")
    assert not finds(session, course, "haus", "german")
    session.execute(update(Course).where(Course.id == course).values(title="Boote"))
    assert finds(session, course, "boote", "simple")
    assert not finds(session, course, "hauser", "simple")


def test_keep_course_search_of_any_text(session: RoutingSession) -> None:
    # PostgreSQL refuses a tsvector of more than a megabyte.
    draw = random.Random(6)
    words = ["".join(draw.choices(string.ascii_lowercase, k=12)) for _ in range(120_000)]
    course = make(session, title="x" * 300, description=" ".join(words))
    assert finds(session, course, words[0], "simple")
    session.execute(update(Course).where(Course.id == course).values(title="' & : ! \\ \" <->"))
    assert not finds(session, course, "x" * 300, "simple")


def versions(session: RoutingSession) -> list[Any]:
    return list(session.execute(text("SELECT ctid, xmin FROM course_search")))


def test_keep_course_search_leaves_what_did_not_change(session: RoutingSession) -> None:
    course = make(session, title="Knots")
    session.commit()
    before = versions(session)
    # An update names the columns that the trigger looks at; replication always names all.
    session.execute(update(Course).where(Course.id == course).values(title="Knots", access_days=5))
    assert versions(session) == before
    session.execute(update(Course).where(Course.id == course).values(title="Boats"))
    assert versions(session) != before


def test_sum_course_ratings_sums_popularity_up(session: RoutingSession) -> None:
    course = make(session)
    with bound(session):
        users = UserFactory.create_batch(3)
    taken = [enroll_user(session, user.id, course) for user in users]
    assert popular(session) == [(course, 3, 0)]
    completed = {"status": "completed", "completion_date": "2300-01-01"}
    session.execute(update(Enrollment).where(Enrollment.id == taken[0]).values(completed))
    session.execute(update(Enrollment).where(Enrollment.id == taken[1]).values(status="dropped"))
    assert popular(session) == [(course, 2, 1)]
    session.execute(delete(Enrollment).where(Enrollment.id == taken[0]))
    assert popular(session) == [(course, 1, 0)]
