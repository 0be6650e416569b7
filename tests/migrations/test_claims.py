"""What 0007 makes of the rows of an older release: seats, counters, names of instructors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import migrate
from elearning.config import Settings
from elearning.crud import mark_lesson_complete
from elearning.errors import CourseFull
from elearning.ids import new_id
from elearning.models import Course, CourseReview, Enrollment, EnrollmentStatus
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseLessonFactory, UserFactory, bound
from tests.migrations.support import alembic, drifts, execute, rows, superuser
from tests.models.seats import Seats, make_seats, wrong
from tests.snapshots import connect

REGION = Region.EUROPE  # on the shard na of these databases


class Kept(NamedTuple):
    """A course of three seats, of which two are taken, and one without limit."""

    limited: UUID
    free: UUID
    active: UUID
    completed: UUID
    dropped: UUID


@contextmanager
def opened(settings: Settings) -> Iterator[RoutingSession]:
    with (
        Engines(settings) as engines,
        RoutingSession(engines=engines, region=REGION, consistency="primary") as session,
        bound(session),
    ):
        yield session
        session.commit()


@pytest.fixture
def kept(filled: Settings) -> Kept:
    with opened(filled) as session:
        limited = make_seats(session, 3, instructor__first_name="Ada", instructor__last_name="L.")
        free = make_seats(session, None)
        course = session.get_one(Course, limited.course_id)
        lesson = CourseLessonFactory.create(module__course=course)
        people = [UserFactory.create(region=region).id for region in ("europe", "africa", "africa")]
        enrollments = [limited.enroll(user_id) for user_id in people]
        mark_lesson_complete(session, enrollments[1], lesson.id)
        limited.drop(enrollments[2])
        free.enroll(people[0])
        for enrollment_id, rating in zip(enrollments, (5, 2), strict=False):
            enrollment = session.get_one(Enrollment, enrollment_id)
            session.add(
                CourseReview(enrollment=enrollment, course_id=limited.course_id, rating=rating)
            )
    return Kept(limited.course_id, free.course_id, *enrollments)


def to(settings: Settings, revision: str) -> None:
    done = alembic(settings, "-x", "shard=na", "downgrade", revision)
    assert done.code == 0, done.err


def kept_rows(settings: Settings) -> list[tuple[Any, ...]]:
    """Return what no step may lose."""
    return rows(
        settings.shards[0].owner_url,
        "SELECT id, course_id, user_id, status, completed_lessons, total_lessons, enrollment_date, "
        "completion_date, (SELECT rating FROM course_reviews WHERE enrollment_id = e.id), "
        "(SELECT rating FROM courses WHERE id = course_id) FROM enrollments AS e ORDER BY id",
    )


@pytest.mark.parametrize("revision", ["0006", "0005", "0002"])
def test_seats_and_counters_of_what_was_there(filled: Settings, kept: Kept, revision: str) -> None:
    before = kept_rows(filled)
    to(filled, revision)
    assert kept_rows(filled) == before
    assert [each.error for each in migrate(filled)] == [None, None]
    assert drifts(filled) == []
    assert kept_rows(filled) == before

    with opened(filled) as session:
        assert wrong(session) == []
        seats, free = Seats(session, kept.limited), Seats(session, kept.free)
        assert seats.taken == 2
        for enrollment_id in (kept.active, kept.completed):
            claim_id = seats.claim_of(enrollment_id)
            assert (seats.status(claim_id), seats.outcome(claim_id)) == ("confirmed", "used")
        assert seats.claim_of(kept.dropped) is None
        assert rows(
            filled.shards[0].owner_url,
            "SELECT region_code, enrollments, completions, rating_sum, total_ratings "
            f"FROM course_statistics WHERE course_id = '{kept.limited}' ORDER BY 1",
        ) == [(3, 1, 0, 5, 1), (4, 1, 1, 2, 1)]
        names = f"SELECT instructor_name FROM courses WHERE id = '{kept.limited}'"
        assert rows(filled.shards[0].owner_url, names) == [("Ada L.",)]

        # It goes on from there.
        seats.enroll(UserFactory.create(region=REGION).id)
        with pytest.raises(CourseFull), session.begin_nested():
            seats.enroll(UserFactory.create(region=REGION).id)
        seats.drop(kept.active)
        assert seats.taken == 2
        free.enroll(UserFactory.create(region=REGION).id)
        assert wrong(session) == []


def test_what_an_older_release_does_meanwhile(filled: Settings, kept: Kept) -> None:
    to(filled, "0006")
    owner = filled.shards[0].owner_url
    # Its own enroll_user, which counts the enrollments.
    ((user_id,),) = rows(owner, f"SELECT user_id FROM enrollments WHERE id = '{kept.dropped}'")
    rows(filled.shards[0].primary, f"SELECT enroll_user('{user_id}', '{kept.limited}')")
    execute(
        filled.shards[0].primary,
        f"UPDATE enrollments SET status = 'dropped' WHERE id = '{kept.active}'",
    )
    assert [each.error for each in migrate(filled)] == [None, None]
    with opened(filled) as session:
        seats = Seats(session, kept.limited)
        assert seats.taken == 2
        assert (seats.claim_of(kept.active), seats.claim_of(kept.dropped) is None) == (None, False)
        status = session.get_one(Enrollment, kept.dropped).status
        assert status is EnrollmentStatus.ACTIVE


def test_a_seat_in_a_course_of_another_shard_is_not_claimed_here(
    filled: Settings, kept: Kept, cluster: EmbeddedCluster
) -> None:
    asian = new_id("asia")
    to(filled, "0006")
    ((user_id,),) = rows(
        filled.shards[0].owner_url, f"SELECT user_id FROM enrollments WHERE id = '{kept.active}'"
    )
    with connect(superuser(cluster, "na", "filled")) as replication:
        replication.execute("SET session_replication_role = replica")
        replication.execute(
            "INSERT INTO courses (id, course_code, slug, title, instructor_id, currency, language, "
            f"status, published_at, max_enrollments) VALUES ('{asian}', 'X', 'x', 'X', "
            "new_id(5), 'EUR', 'en', 'published', now(), 1)"
        )
    rows(filled.shards[0].primary, f"SELECT enroll_user('{user_id}', '{asian}')")
    assert [each.error for each in migrate(filled)] == [None, None]
    found = f"SELECT claim_id, status FROM enrollments WHERE course_id = '{asian}'"
    assert rows(filled.shards[0].owner_url, found) == [(None, "active")]
    assert rows(filled.shards[0].owner_url, "SELECT taken FROM course_seats") == [(2,)]
