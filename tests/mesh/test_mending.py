"""What breaks the copies, how health tells it, and that one command mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from uuid import UUID

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.health import check_health
from elearning.cluster.mesh import publication, reconcile_mesh, rescue, slots, synchronize
from elearning.cluster.mesh.health import CopyHealth
from elearning.config import Settings
from elearning.crud import enroll_user
from elearning.ids import new_id
from elearning.models.publication import CopiedTable, copied_tables
from elearning.routing import Engines, RoutingSession
from elearning.testing.databases import wait_copied
from elearning.testing.factories import UserFactory, bound
from elearning.testing.switches import Switches
from tests.mesh.support import (
    add_course,
    as_replication,
    catalog,
    reconciled,
    rows,
    titles,
    told,
    until,
)
from tests.snapshots import connect

FROM_EU = "elearning_from_eu"
DROP = (
    "ALTER SUBSCRIPTION {0} DISABLE; ALTER SUBSCRIPTION {0} SET (slot_name = NONE); "
    "DROP SUBSCRIPTION {0}"
)


@pytest.fixture(autouse=True)
def _mended(settings: Settings, clean: Callable[[], None]) -> Iterator[None]:
    clean()
    yield
    assert reconcile_mesh(settings).ok


def copy_of(settings: Settings, publisher: str, subscriber: str) -> CopyHealth:
    report = check_health(settings)
    found = [
        each
        for each in report.copies
        if (each.publisher, each.subscriber) == (publisher, subscriber)
    ]
    oks = [*(node.ok for node in report.nodes), *(copy.ok for copy in report.copies)]
    assert report.ok is all(oks)
    return found[0]


def test_health_of_copies(settings: Settings, engines: Engines) -> None:
    add_course(settings, "europe", "Here")
    wait_copied(engines)
    report = check_health(settings)
    assert report.ok
    assert len(report.copies) == 6
    for copy in report.copies:
        assert (copy.ok, copy.running, copy.problem) == (True, True, None)
        assert copy.lag_bytes is not None
        assert copy.lag_bytes < 1_000_000
    assert report.to_dict()["copies"][0].keys() >= {"publisher", "lag_bytes", "errors"}


def test_a_row_in_the_way(settings: Settings) -> None:
    first = add_course(settings, "europe", "First", slug="first")
    until(lambda: titles(settings, "na") == {"First"})
    stranger = new_id("europe")
    columns = ", ".join(next(t for t in copied_tables() if t.name == "courses").columns)
    asked = columns.replace("id,", f"'{stranger}',", 1)
    asked = asked.replace("slug", "'taken'").replace("course_code", "'taken'")
    # A copy that home does not know, with the slug of a course that home is about to have.
    as_replication(
        settings,
        "na",
        f"INSERT INTO courses ({columns}) SELECT {asked} FROM courses WHERE id = '{first}'",
    )
    taken = add_course(settings, "europe", "Taken", slug="taken")
    until(lambda: not copy_of(settings, "eu", "na").running)
    copy = copy_of(settings, "eu", "na")
    assert not copy.ok
    assert copy.errors
    assert copy.lag_bytes
    assert "the log of na's server names the row in its way" in str(copy.problem)
    assert "run 'elearning reconcile'" in str(copy.problem)
    assert copy_of(settings, "eu", "asia").ok

    report = reconciled(settings)
    assert "1 row(s) brought back home" in told(report)["eu na"]
    assert catalog(settings, "na", 3, 4) == catalog(settings, "eu", 3, 4)
    found = dict(rows(settings, "na", "SELECT id, slug FROM courses"))
    assert found == {first: "first", taken: "taken", stranger: str(stranger)}
    assert copy_of(settings, "eu", "na").ok


@pytest.mark.parametrize(
    ("statement", "problem", "action"),
    [
        ("ALTER SUBSCRIPTION {} DISABLE", "disabled", "it was enabled"),
        (
            DROP,
            "no subscription",
            "copied: no subscription",
        ),
        (
            "COMMENT ON SUBSCRIPTION {} IS 'publisher timeline 9'",
            "made with publisher timeline 9",
            "copied: made with publisher timeline 9",
        ),
    ],
)
def test_a_subscription_that_somebody_changed(
    settings: Settings, statement: str, problem: str, action: str
) -> None:
    add_course(settings, "europe", "Before")
    until(lambda: titles(settings, "na") == {"Before"})
    for each in statement.format(FROM_EU).split(";"):
        rows(settings, "na", each)
    add_course(settings, "europe", "Meanwhile")
    copy = copy_of(settings, "eu", "na")
    assert str(copy.problem).startswith(f"{problem}: ")
    assert told(reconciled(settings))["eu na"].startswith(action)
    add_course(settings, "europe", "After")
    until(lambda: titles(settings, "na") == {"Before", "Meanwhile", "After"})


def popularity(settings: Settings, shard: str) -> dict[UUID, int]:
    """Return how many take each course, once that is what the counters say."""
    found = rows(
        settings, shard, "SELECT course_id, enrollments, completions FROM course_popularity"
    )
    summed = rows(
        settings,
        shard,
        "SELECT c.id, coalesce(sum(s.enrollments), 0)::int, coalesce(sum(s.completions), 0)::int "
        "FROM courses AS c LEFT JOIN course_statistics AS s ON s.course_id = c.id GROUP BY 1",
    )
    assert sorted(found) == sorted(summed)
    return {course_id: enrollments for course_id, enrollments, _ in found}


def test_popularity_of_copies_that_are_made_anew(settings: Settings, engines: Engines) -> None:
    course = add_course(settings, "europe", "Taken")
    gone = add_course(settings, "europe", "Changed")

    def enroll(number: int) -> None:
        with RoutingSession(engines=engines, region="europe") as session, bound(session):
            for _ in range(number):
                enroll_user(session, UserFactory.create().id, course)
            session.commit()

    enroll(2)
    wait_copied(engines)
    assert popularity(settings, "na") == {course: 2, gone: 0}
    for each in DROP.format(FROM_EU).split(";"):
        rows(settings, "na", each)
    enroll(3)
    as_replication(
        settings,
        "na",
        # Counters that home does not know of, and sums that are not those of any counters.
        "INSERT INTO course_statistics (course_id, region_code, enrollments) "
        f"VALUES ('{gone}', 4, 7)",
        "UPDATE course_popularity SET enrollments = 1, completions = 1 "
        f"WHERE course_id = '{course}'",
    )
    reconciled(settings)
    assert popularity(settings, "na") == {course: 5, gone: 0}
    enroll(1)
    wait_copied(engines)
    for shard in ("na", "eu", "asia"):
        assert popularity(settings, shard) == {course: 6, gone: 0}
    # To copy all of it once more changes nothing.
    rows(settings, "na", f"COMMENT ON SUBSCRIPTION {FROM_EU} IS 'publisher timeline 9'")
    reconciled(settings)
    assert popularity(settings, "na") == {course: 6, gone: 0}


def test_copies_that_somebody_changed(settings: Settings, engines: Engines) -> None:
    for title in ("One", "Two"):
        add_course(settings, "europe", title, slug=title.lower())
    wait_copied(engines)
    as_replication(
        settings,
        "na",
        # What is unique has changed places, and what is counted here is not copied.
        "UPDATE courses SET slug = 'aside', rating_sum = 7, total_ratings = 2 WHERE title = 'One'",
        "UPDATE courses SET slug = 'one' WHERE title = 'Two'",
        "UPDATE courses SET slug = 'two' WHERE title = 'One'",
        "DELETE FROM course_lessons",
        f"COMMENT ON SUBSCRIPTION {FROM_EU} IS ''",
    )
    assert "4 row(s) brought in line" in told(reconciled(settings))["eu na"]
    assert catalog(settings, "na", 3, 4) == catalog(settings, "eu", 3, 4)
    assert rows(settings, "na", "SELECT rating_sum FROM courses WHERE title = 'One'") == [(7,)]


def test_what_home_does_not_take_back_is_told_until_it_does(settings: Settings) -> None:
    course = add_course(settings, "europe", "Lost")
    until(lambda: titles(settings, "na") == {"Lost"})
    subscriptions = "SELECT subname FROM pg_subscription"
    with_all = [name for (name,) in rows(settings, "na", subscriptions)]
    assert FROM_EU in with_all
    rows(settings, "na", f"ALTER SUBSCRIPTION {FROM_EU} DISABLE")
    everything = "course_lessons, course_modules, courses, users"
    as_replication(settings, "eu", *(f"DELETE FROM {table}" for table in everything.split(", ")))
    rows(settings, "na", f"COMMENT ON SUBSCRIPTION {FROM_EU} IS ''")
    for _ in range(2):
        report = reconcile_mesh(settings)
        assert f"does not take it back from its copy: courses {course}" in report.problem
        assert titles(settings, "na") == {"Lost"}
    assert "3 row(s) lost at home" in str(copy_of(settings, "eu", "na").problem)
    as_replication(
        settings,
        "na",
        *(f"DELETE FROM {table}" for table in ("course_lessons", "course_modules", "courses")),
    )
    reconciled(settings)


def test_a_column_that_a_release_adds(
    settings: Settings, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without() -> tuple[CopiedTable, ...]:
        return tuple(
            CopiedTable(
                table.name,
                tuple(column for column in table.columns if column != "access_days"),
                table.key,
                table.home,
            )
            for table in copied_tables()
        )

    with monkeypatch.context() as patched:
        for module in (publication, synchronize, rescue):
            patched.setattr(module, "copied_tables", without)
        reconciled(settings)
        add_course(settings, "europe", "Short", access_days=3)
        wait_copied(engines)
        assert rows(settings, "na", "SELECT access_days FROM courses") == [(None,)]
    report = reconciled(settings)
    assert all("publication" in pair.told for pair in report.pairs)
    assert rows(settings, "na", "SELECT access_days FROM courses") == [(3,)]


def test_a_publication_that_somebody_changed(settings: Settings) -> None:
    rows(settings, "eu", "ALTER PUBLICATION elearning_catalog DROP TABLE courses")
    report = reconciled(settings)
    changed = {name for name, what in told(report).items() if what != "nothing to do"}
    assert changed == {"eu na", "eu asia"}


def test_a_shard_that_is_down(
    settings: Settings, cluster: EmbeddedCluster, switches: Switches
) -> None:
    switches.kill("asia-primary")
    rows(settings, "na", f"COMMENT ON SUBSCRIPTION {FROM_EU} IS ''")
    report = reconcile_mesh(settings)
    assert {f"{p.publisher} {p.subscriber}" for p in report.pairs if p.problem} == {
        "na asia",
        "eu asia",
        "asia na",
        "asia eu",
    }
    assert told(report)["eu na"].startswith("copied")
    health = check_health(settings)
    assert health.seconds < 3.5
    assert [copy.ok for copy in health.copies].count(False) == 4


def test_a_publisher_that_other_servers_do_not_reach(settings: Settings) -> None:
    na, eu, asia = settings.shards
    assert eu.replication is not None
    strange = replace(eu, replication=eu.replication.set(port=1))
    rows(settings, "na", f"COMMENT ON SUBSCRIPTION {FROM_EU} IS ''")
    report = reconcile_mesh(replace(settings, shards=(na, strange, asia)))
    assert "eu to na: " in report.problem
    assert "Connection refused" in report.problem
    assert str(eu.replication.password) not in report.problem
    # Nothing is left that would keep the log of a server.
    left = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'elearning_eu_to_na%'"
    assert rows(settings, "eu", left) == [(0,)]
    assert told(reconciled(settings))["eu na"] == "copied: no subscription"


def test_a_transaction_that_stays_open(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_WAIT", 1)
    rows(settings, "na", f"COMMENT ON SUBSCRIPTION {FROM_EU} IS ''")
    with connect(settings.shard("eu").owner_url) as writer, writer.transaction():
        writer.execute("UPDATE hosted_regions SET region_code = region_code")
        report = reconcile_mesh(settings)
    assert "eu to na: a transaction that has written stays open" in report.problem
    reconciled(settings)


def test_many_run_it_at_once(settings: Settings) -> None:
    rows(settings, "na", f"COMMENT ON SUBSCRIPTION {FROM_EU} IS ''")
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(reconcile_mesh, [settings] * 3))
    assert all(report.ok for report in reports)
    assert [report.changed for report in reports].count(True) == 1


def test_nothing_is_lost_or_doubled_while_people_write(
    settings: Settings, engines: Engines
) -> None:
    before, course = (add_course(settings, "europe", title) for title in ("Before", "Busy"))
    wait_copied(engines)
    over = Event()

    def write() -> int:
        number = 0
        with connect(settings.shard("eu").owner_url) as writer:
            while not over.is_set():
                number += 1
                with writer.transaction():
                    writer.execute(
                        "INSERT INTO course_modules (id, course_id, position, title) "
                        "VALUES (new_id(3), %s, %s, 'Module')",
                        # Far from the one that the factory has made.
                        [course, 500_000 + number],
                    )
                    writer.execute("UPDATE courses SET title = %s", [f"Busy {number}"])
                    writer.execute("DELETE FROM course_prerequisites")
                    writer.execute(
                        "INSERT INTO course_prerequisites (id, course_id, prerequisite_id) "
                        "VALUES (new_id(3), %s, %s)",
                        [course, before],
                    )
        return number

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(5):
                rows(settings, "na", f"COMMENT ON SUBSCRIPTION {FROM_EU} IS ''")
                report = reconcile_mesh(settings)
                assert report.ok, report.problem
                assert told(report)["eu na"].startswith("copied")
        finally:
            over.set()
        assert writing.result() > 20
    wait_copied(engines)
    assert catalog(settings, "na", 3, 4) == catalog(settings, "eu", 3, 4)
    assert rows(settings, "na", "SELECT count(*) FROM course_prerequisites") == [(1,)]
    copy = copy_of(settings, "eu", "na")
    assert (copy.ok, copy.errors) == (True, 0)


def test_ratings_that_drifted_are_summed_up_anew(settings: Settings) -> None:
    course = add_course(settings, "europe", "Rated")
    until(lambda: titles(settings, "na") == {"Rated"})
    rows(
        settings,
        "asia",
        "INSERT INTO course_statistics (course_id, region_code, rating_sum, total_ratings) "
        f"VALUES ('{course}', 5, 8, 2)",
    )
    ratings = "SELECT rating_sum, total_ratings FROM courses"
    until(lambda: rows(settings, "eu", ratings) == [(8, 2)])
    for shard in ("eu", "na"):
        rows(settings, shard, "UPDATE courses SET rating_sum = 0, total_ratings = 0")
    rows(settings, "na", f"COMMENT ON SUBSCRIPTION {FROM_EU} IS ''")
    reconciled(settings)
    assert rows(settings, "eu", ratings) == rows(settings, "na", ratings) == [(8, 2)]
