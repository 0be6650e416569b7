"""Shards that hold rows, and that an application works with."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from elearning.cluster.migrations import migrate
from elearning.config import Settings
from elearning.crud import complete_transaction, enroll_user
from elearning.models import HEAD
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    TransactionFactory,
    UserFactory,
    bound,
)
from tests.migrations.support import alembic, drifts, execute, hosted, revision, rows, until
from tests.snapshots import connect

pytestmark = pytest.mark.unmeasured

REGION = Region.EUROPE  # on the shard na of these databases


@pytest.fixture
def enrollment_id(filled: Settings) -> UUID:
    """An enrollment in a course of three lessons."""
    with (
        Engines(filled) as engines,
        RoutingSession(engines=engines, region=REGION, consistency="primary") as session,
        bound(session),
    ):
        course = CourseFactory.create()
        module = CourseModuleFactory.create(course=course)
        CourseLessonFactory.create_batch(3, module=module)
        user = UserFactory.create()
        payment = TransactionFactory.create(user=user, course=course)
        session.flush()
        enrolled = enroll_user(session, user.id, course.id)
        complete_transaction(session, payment.id, "charge-1")
        session.commit()
    return enrolled


def progress(settings: Settings, enrollment_id: UUID) -> tuple[object, ...]:
    (row,) = rows(
        settings.shards[0].owner_url,
        "SELECT total_lessons, completed_lessons, progress_percentage FROM enrollments "
        f"WHERE id = '{enrollment_id}'",
    )
    return row


def test_a_lock_that_goes_away_is_waited_for(
    blank: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert [each.error for each in migrate(blank, "0002")] == [None, None]
    na = blank.shards[0]
    with connect(na.owner_url) as application, ThreadPoolExecutor() as pool:
        application.execute("BEGIN")
        application.execute("LOCK TABLE invoices IN ACCESS SHARE MODE")
        with caplog.at_level(logging.WARNING, "elearning.migrations"):
            running = pool.submit(lambda: list(migrate(blank, shards=["na"])))
            until(lambda: "shard na: tried again" in caplog.text)
            application.execute("COMMIT")
            (result,) = running.result(timeout=60)
    assert (result.error, result.before, result.after) == (None, "0002", HEAD)
    assert "lock timeout" in caplog.text


@pytest.mark.parametrize("target", ["0006", "0004", "0002"])
def test_an_application_goes_on_after_a_downgrade(
    filled: Settings, enrollment_id: UUID, target: str
) -> None:
    na = filled.shards[0]
    assert alembic(filled, "-x", "shard=na", "downgrade", target).code == 0
    # The flows' own statements, as the application's role.
    complete = (
        "UPDATE lesson_progress SET completed = true, completion_date = now() "
        f"WHERE enrollment_id = '{enrollment_id}'"
    )
    users = "SELECT user_id, course_id FROM enrollments"
    ((user_id, course_id),) = rows(na.owner_url, users)
    pay = (
        "INSERT INTO transactions (id, user_id, course_id, amount, currency, gateway) "
        f"VALUES (new_id(3), '{user_id}', '{course_id}', 100, 'EUR', 'test')"
    )
    register = "SELECT create_user_with_profile('europe', 'new@example.com', NULL, 'New', 'One')"
    execute(na.primary, complete, pay, register)
    rows(
        na.primary, "SELECT complete_transaction(id, 'x') FROM transactions WHERE gateway = 'test'"
    )
    rows(
        na.primary,
        f"SELECT enroll_user(id, '{course_id}') FROM users WHERE email = 'new@example.com'",
    )
    assert progress(filled, enrollment_id) == (3, 3, Decimal(100))
    # And up again, with what it wrote.
    assert [each.error for each in migrate(filled)] == [None, None]
    assert drifts(filled) == []


def test_lessons_that_came_and_went_before_0005_are_made_good(
    filled: Settings, enrollment_id: UUID
) -> None:
    na = filled.shards[0]
    lessons = "SELECT id FROM course_lessons ORDER BY position"
    first, second, _ = [row[0] for row in rows(na.owner_url, lessons)]
    archive = "UPDATE course_lessons SET archived_at = now() WHERE id = '{}'"
    execute(na.primary, archive.format(first))
    assert progress(filled, enrollment_id) == (2, 0, 0)
    assert alembic(filled, "-x", "shard=na", "downgrade", "0002").code == 0
    # As 0002 counts: archived lessons too.
    assert progress(filled, enrollment_id) == (3, 0, 0)
    add = (
        "INSERT INTO course_lessons (id, module_id, position, title, lesson_type) "
        "SELECT new_id(3), id, 99, 'New', 'video' FROM course_modules"
    )
    execute(na.primary, archive.format(second), add)
    assert [each.error for each in migrate(filled)] == [None, None]
    assert progress(filled, enrollment_id) == (2, 0, 0)
    counted = (
        "SELECT count(*) FROM lesson_progress AS p JOIN course_lessons AS l ON l.id = p.lesson_id "
        "WHERE p.archived = (l.archived_at IS NOT NULL)"
    )
    assert rows(na.owner_url, counted) == [(4,)]


def test_refunds_are_not_lost_by_a_downgrade(filled: Settings, enrollment_id: UUID) -> None:
    na = filled.shards[0]
    refund = (
        "INSERT INTO transactions (id, user_id, course_id, amount, currency, gateway, "
        "transaction_type, refund_of_id) SELECT new_id(3), user_id, course_id, amount, currency, "
        "gateway, 'refund', id FROM transactions"
    )
    execute(na.primary, refund)
    done = alembic(filled, "-x", "shard=na", "downgrade", "0002")
    assert "there are refunds" in done.out + done.err
    assert revision(na) == "0003"
    assert [each.error for each in migrate(filled)] == [None, None]


def test_a_region_is_not_taken_from_its_people(filled: Settings, enrollment_id: UUID) -> None:
    na, eu = filled.shards
    before = hosted(na)
    moved = replace(
        filled,
        shards=(
            replace(na, regions=na.regions[:2]),
            replace(eu, regions=(*na.regions[2:], *eu.regions)),
        ),
    )
    stopped, _ = migrate(moved)
    assert "it holds users of europe" in str(stopped.error)
    assert hosted(na) == before
