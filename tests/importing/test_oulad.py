"""What becomes of each file, on a small data set with every oddity of the real one."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from elearning.errors import InvalidText, NodeUnavailable
from elearning.ids import region_of
from elearning.importing import oulad_staging
from elearning.importing.oulad import import_oulad
from elearning.models import CourseLesson, Enrollment, LessonProgress, User, UserProfile
from elearning.regions import Region
from tests.importing.dataset import FILES, NOTHING, ORDER, TOTALS, Dataset, fingerprint, totals


def rows(engine: Engine, query: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(query)))


def day(year: int, month: int, of_month: int) -> datetime:
    return datetime(year, month, of_month, tzinfo=UTC)


def test_counts_say_what_was_added(shard_engine: Engine, dataset: Dataset) -> None:
    assert import_oulad(shard_engine, dataset.folder).to_dict() == TOTALS
    assert totals(shard_engine) == TOTALS


def test_second_run_changes_nothing(shard_engine: Engine, dataset: Dataset) -> None:
    import_oulad(shard_engine, dataset.folder)
    before = fingerprint(shard_engine)
    assert import_oulad(shard_engine, dataset.folder).to_dict() == NOTHING
    assert fingerprint(shard_engine) == before


def test_second_run_adds_what_the_files_have_more(shard_engine: Engine, dataset: Dataset) -> None:
    import_oulad(shard_engine, dataset.folder)
    dataset.add("vle", "504,AAA,2013J,quiz,,")
    dataset.add("studentVle", "AAA,2013J,14,504,1,5")
    counts = import_oulad(shard_engine, dataset.folder).to_dict()
    assert counts == NOTHING | {"lessons": 1, "progress": 4, "clicks": 5}
    query = "SELECT position, title FROM course_lessons WHERE lesson_type = 'quiz' ORDER BY 1"
    assert rows(shard_engine, query) == [(1, "quiz 502"), (2, "quiz 504")]
    query = "SELECT DISTINCT total_lessons FROM enrollments ORDER BY 1"
    assert rows(shard_engine, query) == [(2,), (4,)]


def test_clicks_are_set_and_not_added(shard_engine: Engine, dataset: Dataset) -> None:
    import_oulad(shard_engine, dataset.folder)
    dataset.put("studentVle", 5, "AAA,2013J,12,501,20,2")
    assert import_oulad(shard_engine, dataset.folder).to_dict() == NOTHING | {"clicks": -5}
    assert totals(shard_engine) == TOTALS | {"clicks": TOTALS["clicks"] - 5}


def test_courses(shard_engine: Engine, dataset: Dataset) -> None:
    import_oulad(shard_engine, dataset.folder)
    found = rows(
        shard_engine,
        """
        SELECT course_code, slug, c.title, currency, price, language, c.status, published_at,
               u.email, u.user_type,
               array_agg(m.title ORDER BY m.position) AS modules
        FROM courses AS c JOIN users AS u ON u.id = instructor_id
        JOIN course_modules AS m ON m.course_id = c.id
        GROUP BY c.id, u.id ORDER BY course_code
        """,
    )
    teacher = ("instructor@oulad.example", "instructor")
    sold = ("GBP", 0, "en", "published")
    assert found == [
        (
            *("AAA-2013J", "oulad-aaa-2013j", "Open University AAA, October 2013", *sold),
            *(day(2013, 10, 1), *teacher, ["resource", "quiz"]),
        ),
        (
            *("BBB-2014B", "oulad-bbb-2014b", "Open University BBB, February 2014", *sold),
            *(day(2014, 2, 1), *teacher, ["forumng", "oucollaborate"]),
        ),
    ]


def test_lessons(shard_engine: Engine, dataset: Dataset) -> None:
    import_oulad(shard_engine, dataset.folder)
    query = "SELECT title, position, lesson_type FROM course_lessons ORDER BY title"
    assert rows(shard_engine, query) == [
        ("forumng 601", 1, "assignment"),
        ("oucollaborate 602", 1, "video"),
        ("quiz 502", 1, "quiz"),
        ("resource 501", 1, "reading"),
        ("resource 503", 2, "reading"),
    ]


def test_users_keep_the_region_of_their_latest_course(
    shard_engine: Engine, dataset: Dataset
) -> None:
    import_oulad(shard_engine, dataset.folder)
    query = """
        SELECT email, region, subdivision, country FROM users AS u
        JOIN user_profiles AS p ON p.user_id = u.id WHERE user_type = 'student' ORDER BY email
    """
    assert rows(shard_engine, query) == [
        ("oulad-11@students.oulad.example", "europe", "London Region", "GB"),
        ("oulad-12@students.oulad.example", "europe", "Ireland", None),
        ("oulad-13@students.oulad.example", "europe", "Wales", "GB"),
        ("oulad-14@students.oulad.example", "europe", "North Region", "GB"),
        ("oulad-15@students.oulad.example", "europe", "Wales", "GB"),
    ]


def test_every_user_leaves_the_message_of_a_registration(
    shard_engine: Engine, dataset: Dataset
) -> None:
    import_oulad(shard_engine, dataset.folder)
    found = rows(shard_engine, "SELECT topic, payload FROM outbox")
    users = rows(shard_engine, "SELECT id FROM users")
    assert len(users) == 6
    assert {row.topic for row in found} == {"user_registered"}
    assert sorted(row.payload["user_id"] for row in found) == sorted(str(row.id) for row in users)
    assert all(row.payload["preferences"] == {} for row in found)


def test_enrollments(shard_engine: Engine, dataset: Dataset) -> None:
    import_oulad(shard_engine, dataset.folder)
    query = """
        SELECT course_code, u.last_name, e.status, enrollment_date, completion_date,
               total_lessons, completed_lessons
        FROM enrollments AS e
        JOIN users AS u ON u.id = user_id
        JOIN courses AS c ON c.id = course_id
        ORDER BY course_code, u.last_name
    """
    aaa, bbb = "AAA-2013J", "BBB-2014B"
    assert rows(shard_engine, query) == [
        (aaa, "11", "completed", day(2013, 4, 25), day(2014, 6, 26), 3, 0),
        (aaa, "12", "dropped", day(2013, 9, 26), None, 3, 0),
        # Withdrawn without a date, registered without a date.
        (aaa, "13", "dropped", day(2013, 10, 1), None, 3, 0),
        (aaa, "14", "expired", day(2013, 10, 4), None, 3, 0),
        # Failed, but withdrawn on a day.
        (bbb, "11", "dropped", day(2014, 1, 12), None, 2, 0),
        (bbb, "15", "completed", day(2014, 1, 12), day(2014, 9, 30), 2, 0),
    ]


def test_clicks_are_summed_as_minutes(shard_engine: Engine, dataset: Dataset) -> None:
    import_oulad(shard_engine, dataset.folder)
    query = """
        SELECT last_name, title, time_spent, completed FROM lesson_progress AS p
        JOIN enrollments AS e ON e.id = p.enrollment_id JOIN users AS u ON u.id = e.user_id
        JOIN course_lessons AS l ON l.id = p.lesson_id
        WHERE time_spent > 0 ORDER BY last_name, title
    """
    assert rows(shard_engine, query) == [
        ("11", "forumng 601", 180, False),
        ("11", "quiz 502", 120, False),
        ("11", "resource 501", 360, False),
        ("12", "resource 501", 420, False),
    ]


def test_all_ids_are_of_europe(shard_engine: Engine, dataset: Dataset) -> None:
    import_oulad(shard_engine, dataset.folder)
    for model in (User, UserProfile, CourseLesson, Enrollment, LessonProgress):
        found = rows(shard_engine, f"SELECT id FROM {model.__tablename__}")
        assert {region_of(row.id) for row in found} == {Region.EUROPE}


def test_each_file_may_be_gzipped(shard_engine: Engine, dataset: Dataset) -> None:
    for stem in ORDER:
        plain = dataset.folder / f"{stem}.csv"
        (dataset.folder / f"{stem}.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    assert import_oulad(shard_engine, dataset.folder).to_dict() == TOTALS


def test_report_names_every_file(shard_engine: Engine, dataset: Dataset) -> None:
    told: list[str] = []
    import_oulad(shard_engine, dataset.folder, report=told.append)
    assert [line.split(":")[0] for line in told] == list(ORDER)
    assert told[-1] == "studentVle: 18 clicks added"


@pytest.mark.parametrize("stem", ORDER)
def test_missing_file_is_told_before_anything_is_loaded(
    shard_engine: Engine, dataset: Dataset, stem: str
) -> None:
    (dataset.folder / f"{stem}.csv").unlink()
    with pytest.raises(InvalidText, match=rf"^folder: .* has no {stem}\.csv or {stem}\.csv\.gz$"):
        import_oulad(shard_engine, dataset.folder)
    assert totals(shard_engine) == NOTHING


def test_missing_folder(shard_engine: Engine, dataset: Dataset) -> None:
    with pytest.raises(InvalidText, match=r"^folder: .*/none is not a folder$"):
        import_oulad(shard_engine, dataset.folder / "none")


def test_transaction_is_one_per_file(shard_engine: Engine, dataset: Dataset) -> None:
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(shard_engine, "commit", count)
    try:
        import_oulad(shard_engine, dataset.folder)
    finally:
        event.remove(shard_engine, "commit", count)
    assert commits == len(FILES)


def test_lost_connection_is_told_as_the_engine_tells_it(
    shard_engine: Engine, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oulad_staging, "REPORT_EVERY", 1)

    def end_the_copy(_: str) -> None:
        with shard_engine.connect() as other:
            other.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE usename = current_user AND query LIKE 'COPY \"oulad_%'"
                )
            )

    with pytest.raises((OperationalError, NodeUnavailable)):
        import_oulad(shard_engine, dataset.folder, report=end_the_copy)
    assert totals(shard_engine) == NOTHING
    assert import_oulad(shard_engine, dataset.folder).to_dict() == TOTALS
